"""Masks from a folder of files, or from rembg's networks: 255 = animal, 0 = background."""

import contextlib
import io
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from utils.errors import InputError
from utils.words import first_few
from wildlife.releases.archives import files_below

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.npy')
GREY = 16  # of 255, by which the colours of a grey JPEG may differ
SHAPE = 0.02  # by which a mask that is scaled may be wider or narrower than its photo
KINDS = (
    'a mask is grey (white = animal), or has an alpha channel, or is an array (H, W) of '
    'bools, 0–255 or 0.0–1.0'
)
EXTRAS = 'pip install -r requirements-extras.txt'


class MaskFolder:
    """Masks of the photos' own relative names, with any of ``SUFFIXES``.

    Args:
        folder: of the masks.
        names: relative paths of the photos, all of which must have one; ``paths`` are theirs.
        resize: scale masks of another size, but the photo's shape, instead of rejecting them.

    Raises:
        InputError: a mask is missing, or there are several of one photo.
    """

    def __init__(self, folder: str | Path, names: Sequence[str], resize: bool = False) -> None:
        self.folder, self.resize = Path(folder), resize
        if not self.folder.is_dir():
            raise InputError(f'--masks {folder}: there is no such folder')
        found: dict[Path, list[Path]] = {}
        for path in files_below(self.folder):
            if path.suffix.lower() in SUFFIXES:
                found.setdefault(_stem(path.relative_to(self.folder)), []).append(path)
        several = {name: found.get(_stem(name), []) for name in names}
        missing = [name for name, paths in several.items() if not paths]
        if missing:
            raise InputError(
                f'--masks {folder}: {len(missing)} of {len(names)} photos have no mask there '
                f'({first_few(missing)}); masks have the relative names of their photos, with '
                f'{", ".join(SUFFIXES)}'
            )
        for name, paths in several.items():
            if len(paths) > 1:
                files = ', '.join(path.name for path in paths)
                raise InputError(f'--masks {folder}: {name} has several masks ({files}); keep one')
        self.paths = {name: paths[0] for name, paths in several.items()}

    def __call__(self, name: str, photo: Image.Image) -> Image.Image:
        """Return the mask of a photo, an 'L' image of its size."""
        path = self.paths[name]
        mask = read_mask(path)
        if mask.size == photo.size:
            return mask
        if not self.resize:
            raise InputError(
                f'{path}: the mask has {mask.width} x {mask.height} pixels, its photo '
                f'{photo.width} x {photo.height} (as stored, not rotated by its EXIF); give its '
                'own mask, or --resize-masks'
            )
        width = mask.height * photo.width / photo.height
        if abs(mask.width - width) > max(1, SHAPE * width):  # 1: rounded
            raise InputError(
                f'{path}: the mask of {mask.width} x {mask.height} pixels has not the shape of '
                f'its photo, {photo.width} x {photo.height} as stored, not rotated by its EXIF; '
                'give its own mask'
            )
        return mask.resize(photo.size, Image.Resampling.BILINEAR)


def _stem(name: str | Path) -> Path:
    return Path(unicodedata.normalize('NFC', str(name))).with_suffix('')


def read_mask(path: Path) -> Image.Image:
    """Read a mask file as an 'L' image.

    Files of 0 and 1 alone are scaled, and of 16 or 32 bits those of 0 and any other value.

    Raises:
        InputError: it cannot be read, or is no mask.
    """
    try:
        values = np.load(path, allow_pickle=False) if path.suffix.lower() == '.npy' else _open(path)
    except Exception as error:  # decoders raise anything on broken files
        raise InputError(f'{path}: the mask cannot be read ({_reason(error)}); {KINDS}') from None
    if values is None or values.ndim != 2 or not values.size or values.dtype.kind not in 'biuf':
        what = (
            'a coloured picture' if values is None else f'an array of {values.dtype} {values.shape}'
        )
        raise InputError(f'{path}: {what}; {KINDS}')
    lowest, highest = values.min(), values.max()
    top = 1 if values.dtype.kind == 'f' or highest <= 1 else 255
    if not (lowest >= 0 and highest <= top):
        raise InputError(f'{path}: values from {lowest} to {highest}; {KINDS}')
    return Image.fromarray(np.rint(values.astype(np.float32) * (255 / top)).astype(np.uint8))


def _open(path: Path) -> np.ndarray | None:
    """An array (H, W), uint8 or 0.0–1.0, or None of a coloured picture."""
    with Image.open(path) as image:
        if image.mode.startswith('I'):
            return _shares(np.asarray(image).astype(np.int64))
        if image.mode == 'F':
            return np.asarray(image)
        if image.has_transparency_data:
            alpha = np.asarray(image.convert('RGBA'))[..., 3]
            if alpha.min() < 255:
                return alpha
        colours = np.asarray(image.convert('RGB'))
    spread = colours.max(axis=-1) - colours.min(axis=-1)
    if spread.max(initial=0) > GREY:
        return None
    return np.asarray(Image.fromarray(colours).convert('L'))


def _reason(error: BaseException) -> str:
    """What a library said, on one line."""
    return ' '.join(str(error).split())[:200] or type(error).__name__


def _shares(values: np.ndarray) -> np.ndarray:
    """Whole numbers of 16 or 32 bits as 0.0–1.0; they alone tell the largest possible one."""
    highest = max(1, values.max())
    if not ((values == 0) | (values == highest)).all():
        if not (255 < highest <= 65535 and values.min() >= 0):
            raise ValueError(
                f'more than 8 bits, with values from {values.min()} to {highest}; write it with 8'
            )
        highest = 65535
    return values / highest


class Network:
    """One of rembg's networks, on this machine.

    Args:
        model: its name, as 'isnet-general-use' (input 1024 x 1024).

    Raises:
        InputError: it cannot be loaded, or would not run here.
    """

    def __init__(self, model: str) -> None:
        try:
            # without onnxruntime rembg prints advice and exits
            with contextlib.redirect_stdout(io.StringIO()):
                import rembg
        except (ImportError, SystemExit) as error:
            raise InputError(
                f'removing backgrounds needs rembg and onnxruntime ({error}): {EXTRAS}; or give '
                '--masks FOLDER'
            ) from None
        self.model, self._remove = model, rembg.remove
        home = os.path.join(os.environ.get('U2NET_HOME') or '~/.u2net', f'{model}.onnx')
        try:
            self._session = rembg.new_session(model)
        except Exception as error:  # no such model or network, wrong checksum: each has its own
            raise InputError(
                f'--model {model} cannot be loaded ({_reason(error)}); '
                'without a network put the file, from '
                f'https://github.com/danielgatis/rembg/releases, at {home}; or give --masks FOLDER'
            ) from None
        if not getattr(self._session, 'is_local', lambda: True)():
            raise InputError(
                f'--model {model} would send the photos to a service; choose a model that runs '
                'here, as isnet-general-use'
            )

    def __call__(self, name: str, photo: Image.Image) -> Image.Image:
        """Return the mask of a photo, an 'L' image of its size."""
        try:
            mask = self._remove(photo, session=self._session, only_mask=True)
        except Exception as error:  # as new_session
            raise InputError(
                f'{name}: {self.model} found no mask ({_reason(error)}); '
                'take another --model, or give --masks FOLDER'
            ) from None
        if mask.size != photo.size:
            raise InputError(
                f'{name}: the mask of {self.model} is {mask.size}, the photo {photo.size}; take '
                'another --model'
            )
        return mask.convert('L')
