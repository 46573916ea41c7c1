"""Where the animal is in a photo: masks from a folder of files, or from rembg's networks. 255 = animal, 0 = background."""
import contextlib
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from utils.errors import InputError

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.npy')
GREY = 16  # of 255, by which the colours of a grey JPEG may differ
KINDS = 'a mask is grey (white = animal), or has an alpha channel, or is an array (H, W) of bools, 0–255 or 0.0–1.0'
EXTRAS = 'pip install -r requirements-extras.txt'


class MaskFolder:
    """Masks of the photos' own relative names, with any of ``SUFFIXES``.

    folder: of the masks. names: relative paths of the photos, all of which must have one. resize: scale masks of another size
    to the photo's, instead of refusing them. Raises ``InputError``.
    """

    def __init__(self, folder, names, resize=False):
        self.folder, self.resize = Path(folder), resize
        if not self.folder.is_dir():
            raise InputError(f'--masks {folder}: there is no such folder')
        found = {}
        for root, _, files in os.walk(self.folder):
            for file in sorted(files):
                path = Path(root) / file
                if path.suffix.lower() in SUFFIXES:
                    found.setdefault(path.relative_to(self.folder).with_suffix(''), []).append(path)
        self._paths = {name: found.get(Path(name).with_suffix(''), ()) for name in names}
        missing = [name for name, paths in self._paths.items() if not paths]
        if missing:
            first = ', '.join(missing[:3]) + (' …' if len(missing) > 3 else '')
            raise InputError(f'--masks {folder}: {len(missing)} of {len(names)} photos have no mask there ({first}); masks '
                             f'have the relative names of their photos, with {", ".join(SUFFIXES)}')
        for name, paths in self._paths.items():
            if len(paths) > 1:
                found = ', '.join(path.name for path in paths)
                raise InputError(f'--masks {folder}: {name} has several masks ({found}); keep one')

    def __call__(self, name, photo):
        """The mask of a photo, as an 'L' image of its size."""
        path = self._paths[name][0]
        mask = read_mask(path)
        if mask.size == photo.size:
            return mask
        if not self.resize:
            raise InputError(f'{path}: the mask has {mask.width} x {mask.height} pixels, its photo {photo.width} x '
                             f'{photo.height} (as stored, not rotated by its EXIF); give its own mask, or --resize-masks')
        return mask.resize(photo.size, Image.Resampling.BILINEAR)


def read_mask(path):
    """Read a mask file as an 'L' image. Files whose values are 0 and 1 alone are scaled. Raises ``InputError``."""
    try:
        values = np.load(path, allow_pickle=False) if path.suffix.lower() == '.npy' else _open(path)
    except Exception as error:  # decoders raise anything on broken files
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise InputError(f'{path}: the mask cannot be read ({reason}); {KINDS}') from None
    if values is None or values.ndim != 2 or not values.size or values.dtype.kind not in 'biuf':
        what = 'a coloured picture' if values is None else f'an array of {values.dtype} {values.shape}'
        raise InputError(f'{path}: {what}; {KINDS}')
    lowest, highest = values.min(), values.max()
    top = 1 if values.dtype.kind == 'f' or highest <= 1 else 255
    if not (lowest >= 0 and highest <= top):
        raise InputError(f'{path}: values from {lowest} to {highest}; {KINDS}')
    return Image.fromarray(np.rint(values.astype(np.float32) * (255 / top)).astype(np.uint8))


def _open(path):
    """An array (H, W) uint8, or None of a coloured picture."""
    with Image.open(path) as image:
        if image.mode.startswith('I'):  # 16 bits
            return (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        if image.has_transparency_data:
            alpha = np.asarray(image.convert('RGBA'))[..., 3]
            if alpha.min() < 255:
                return alpha
        colours = np.asarray(image.convert('RGB'))
    spread = colours.max(axis=-1) - colours.min(axis=-1)
    return None if spread.max(initial=0) > GREY else np.asarray(Image.fromarray(colours).convert('L'))


class Network:
    """One of rembg's networks, as 'isnet-general-use' (input 1024 x 1024), on this machine. Raises ``InputError``."""

    def __init__(self, model):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # without onnxruntime rembg prints advice and exits
                import rembg
        except (ImportError, SystemExit) as error:
            raise InputError(f'removing backgrounds needs rembg and onnxruntime ({error}): {EXTRAS}; or give --masks FOLDER') \
                from None
        self.model, self._remove = model, rembg.remove
        home = os.path.join(os.environ.get('U2NET_HOME') or '~/.u2net', f'{model}.onnx')
        try:
            self._session = rembg.new_session(model)
        except Exception as error:  # no such model, no network, a wrong checksum: each library has its own
            reason = ' '.join(str(error).split())[:200] or type(error).__name__
            raise InputError(f'--model {model} cannot be loaded ({reason}); without a network put the file, from '
                             f'https://github.com/danielgatis/rembg/releases, at {home}; or give --masks FOLDER') from None
        if not getattr(self._session, 'is_local', lambda: True)():
            raise InputError(f'--model {model} would send the photos to a service; choose a model that runs here, as '
                             'isnet-general-use')

    def __call__(self, name, photo):
        """The mask of a photo, as an 'L' image of its size."""
        mask = self._remove(photo, session=self._session, only_mask=True)
        if mask.size != photo.size:
            raise InputError(f'{name}: the mask of {self.model} is {mask.size}, the photo {photo.size}; take another --model')
        return mask.convert('L')
