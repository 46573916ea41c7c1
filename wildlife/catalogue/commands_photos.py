"""The commands of ``tools.catalogue`` that read photos: create, add, encode."""

import argparse
from collections import Counter, defaultdict

from configs import load_cfg
from model.timm_names import resolve_inputs
from utils.errors import InputError
from utils.words import first_few
from wildlife.catalogue.add import Added, add_photos, encode_photos
from wildlife.catalogue.create import check_new_folder, create_catalogue, making
from wildlife.catalogue.encode import ModelEncoder, catalogue_encoder
from wildlife.catalogue.journal import Author
from wildlife.catalogue.models import model_config
from wildlife.catalogue.new_photos import NewPhotos
from wildlife.catalogue.sources import photos_of_config, photos_of_source
from wildlife.catalogue.store import Catalogue, open_catalogue
from wildlife.catalogue.text import alike_text
from wildlife.lists.options import check_reading
from wildlife.words import counted

Arguments = argparse.Namespace

ALIKE = 10  # most names that are printed


def run(args: Arguments, author: Author) -> tuple[str, bool]:
    """Run a command; return what to print, and that all is well.

    Raises:
        InputError: The catalogue, the photos or the options are not suitable; nothing is changed.
    """
    if args.command == 'create':
        return create(args, author), True
    with open_catalogue(args.catalogue) as catalogue:
        return {'add': add, 'encode': encode}[args.command](catalogue, args, author), True


def create(args: Arguments, author: Author) -> str:
    """Create a catalogue: empty, or from the lists of --config_file, in one step."""
    check_new_folder(args.catalogue)
    if not (args.config_file or args.opts):
        with making(args.catalogue) as folder:
            create_catalogue(folder, author, args.species, args.margin)
        return f'{args.catalogue} is an empty catalogue; add photos: python -m tools.catalogue add'
    cfg = resolve_inputs(load_cfg(args.config_file, args.opts))
    encoder = ModelEncoder(cfg) if cfg.TEST.WEIGHT else None
    new = photos_of_config(cfg)
    with making(args.catalogue) as folder:
        catalogue = create_catalogue(folder, author, args.species, args.margin)
        return _add(catalogue, author, new, encoder)


def add(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Add the photos of a source, or of the lists of a config."""
    encoder = _encoder(catalogue, args)
    if args.source:
        margin = catalogue.margin()
        new = photos_of_source(check_reading(args, margin), args.place)
    elif args.config_file:
        new = photos_of_config(resolve_inputs(load_cfg(args.config_file, args.opts)))
    else:
        raise InputError('nothing to add: name PHOTOS, or a yml with lists as --config_file')
    return _add(catalogue, author, new, encoder)


def encode(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Compute the features of all photos with a model."""
    encoder = _encoder(catalogue, args, same=False)
    if encoder is None:
        raise InputError('name the model: --config_file YML TEST.WEIGHT FILE')
    count = encode_photos(catalogue, author, encoder, args.again)
    return f'{counted(count, "feature")} computed; this model is used from now on'


def _encoder(catalogue: Catalogue, args: Arguments, same: bool = True) -> ModelEncoder | None:
    """Return the model of --config_file, else the model in use; None if there is neither.

    Args:
        catalogue: The catalogue.
        args: The command.
        same: Whether KEY VALUE pairs must leave the features of the model in use as they are.
    """
    if args.config_file:
        cfg = resolve_inputs(load_cfg(args.config_file, args.opts))
        if cfg.TEST.WEIGHT:
            return ModelEncoder(cfg)
    if catalogue.model():
        opts = () if args.config_file else args.opts
        if not same:
            return ModelEncoder(model_config(catalogue, opts))
        return catalogue_encoder(catalogue, opts)
    if args.opts and not args.config_file:
        raise InputError(f'{args.opts[0]}: KEY VALUE pairs need --config_file, or a model in use')
    return None


def _add(catalogue: Catalogue, author: Author, new: NewPhotos, encoder: ModelEncoder | None) -> str:
    added = add_photos(catalogue, author, new, encoder)
    alike = alike_text(catalogue.individuals(), added.individuals) if added.individuals else []
    return '\n'.join([added_text(new, added), *alike[:ALIKE]])


def added_text(new: NewPhotos, added: Added) -> str:
    """Return lines that say what was added."""
    lines = [f'- {note}' for note in new.notes]
    skipped = defaultdict(list)
    for row in new.left_out:
        skipped[row.reason].append(row.path)
    lines += [
        f'- skipped: {len(paths)} x {reason}: {first_few(paths)}'
        for reason, paths in skipped.items()
    ]
    several = Counter(photo.path for photo in new.photos)
    shared = sum(count > 1 for count in several.values())
    if shared:
        lines.append(f'- {counted(shared, "photo")} with several animals')
    lines.append(
        f'{counted(len(several), "photo")}: {counted(added.photos, "animal")} added, '
        f'{added.known} already in the catalogue ({added.completed} got missing details, '
        f'{added.named} got a name)'
    )
    if added.otherwise:
        lines.append(
            f'{added.otherwise} of the added animals are in photos that the catalogue also has '
            'with other boxes; if they are the same animals, undo this: python -m tools.catalogue '
            'undo'
        )
    if added.individuals:
        lines.append(
            f'{counted(len(added.individuals), "new individual")}: '
            f'{first_few(added.individuals, 10)}'
        )
    if added.features:
        lines.append(f'{counted(added.features, "feature")} computed')
    elif added.photos:
        lines.append('no features computed; name a model: python -m tools.catalogue encode')
    return '\n'.join(lines)
