"""Masks from a folder or from a network of rembg: 255 = animal, 0 = background."""

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
GREY = 16  # of 255; by so much the colours of a grey JPEG may differ
SHAPE = 0.02  # by this share a resized mask may be wider or narrower than its photo
KINDS = (
    'a mask must be a grey image (white = animal), have an alpha channel, or be an array (H, W) '
    'of booleans, 0–255 or 0.0–1.0'
)
EXTRAS = 'pip install -r requirements-extras.txt'


class MaskFolder:
    """A folder of masks that have the relative names of their photos, with any of ``SUFFIXES``.

    Args:
        folder: Folder with the masks.
        names: Relative paths of the photos; each must have a mask. ``paths`` maps them to the
            paths of the masks.
        resize: Whether masks of another size but the same shape are resized instead of rejected.

    Raises:
        InputError: If the folder or a mask is missing, or a photo has several masks.
    """

    def __init__(self, folder: str | Path, names: Sequence[str], resize: bool = False) -> None:
        self.folder, self.resize = Path(folder), resize
        if not self.folder.is_dir():
            raise InputError(f'--masks {folder}: no such folder; give the folder with the masks')
        found: dict[Path, list[Path]] = {}
        for path in files_below(self.folder):
            if path.suffix.lower() in SUFFIXES:
                found.setdefault(_stem(path.relative_to(self.folder)), []).append(path)
        several = {name: found.get(_stem(name), []) for name in names}
        missing = [name for name, paths in several.items() if not paths]
        if missing:
            raise InputError(
                f'--masks {folder}: {len(missing)} of {len(names)} photos have no mask in this '
                f'folder ({first_few(missing)}); masks must have the relative names of their '
                f'photos, with an extension among {", ".join(SUFFIXES)}'
            )
        for name, paths in several.items():
            if len(paths) > 1:
                files = ', '.join(path.name for path in paths)
                raise InputError(
                    f'--masks {folder}: {name} has several masks ({files}); keep only one'
                )
        self.paths = {name: paths[0] for name, paths in several.items()}

    def __call__(self, name: str, photo: Image.Image) -> Image.Image:
        """Return the mask of a photo, an 'L' image of its size."""
        return self.of_size(name, photo.size)

    def of_size(self, name: str, size: tuple[int, int]) -> Image.Image:
        """Return the mask of a photo of ``size`` (width, height), an 'L' image.

        Raises:
            InputError: The file is no mask, or its size or shape is another one.
        """
        path = self.paths[name]
        mask = read_mask(path)
        if mask.size == size:
            return mask
        if not self.resize:
            raise InputError(
                f'{path}: the mask has {mask.width} x {mask.height} pixels, but its photo has '
                f'{size[0]} x {size[1]} (as stored, without EXIF rotation); give a mask '
                'of this size, or add --resize-masks'
            )
        width = mask.height * size[0] / size[1]
        if abs(mask.width - width) > max(1, SHAPE * width):  # 1 pixel: the size may be rounded
            raise InputError(
                f'{path}: the mask of {mask.width} x {mask.height} pixels does not have the shape '
                f'of its photo, {size[0]} x {size[1]} (as stored, without EXIF rotation); '
                'give a mask of this shape'
            )
        return mask.resize(size, Image.Resampling.BILINEAR)


def _stem(name: str | Path) -> Path:
    return Path(unicodedata.normalize('NFC', str(name))).with_suffix('')


def read_mask(path: Path) -> Image.Image:
    """Read a mask file as an 'L' image.

    Masks with only the values 0 and 1 are scaled to 0 and 255, and so are masks of 16 or 32 bits
    with only two values, 0 and any other.

    Raises:
        InputError: If the file cannot be read, or is not a mask.
    """
    try:
        values = np.load(path, allow_pickle=False) if path.suffix.lower() == '.npy' else _open(path)
    except Exception as error:  # decoders raise many kinds of exceptions on broken files
        raise InputError(f'{path}: the mask cannot be read ({_reason(error)}); {KINDS}') from None
    if values is None or values.ndim != 2 or not values.size or values.dtype.kind not in 'biuf':
        what = 'a colour image' if values is None else f'an array of {values.dtype} {values.shape}'
        raise InputError(f'{path}: is {what}; {KINDS}')
    lowest, highest = values.min(), values.max()
    top = 1 if values.dtype.kind == 'f' or highest <= 1 else 255
    if not (lowest >= 0 and highest <= top):
        raise InputError(f'{path}: has values from {lowest} to {highest}; {KINDS}')
    return Image.fromarray(np.rint(values.astype(np.float32) * (255 / top)).astype(np.uint8))


def _open(path: Path) -> np.ndarray | None:
    """Return an array (H, W), uint8 or 0.0–1.0, or None for a colour image."""
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
    """Return the message of a library on one line."""
    return ' '.join(str(error).split())[:200] or type(error).__name__


def _shares(values: np.ndarray) -> np.ndarray:
    """Scale integers of 16 or 32 bits to 0.0–1.0; the values show what the largest one is."""
    highest = max(1, values.max())
    if not ((values == 0) | (values == highest)).all():
        if not (255 < highest <= 65535 and values.min() >= 0):
            raise ValueError(
                f'values from {values.min()} to {highest} need more than 8 bits; save the mask '
                'with 8 bits'
            )
        highest = 65535
    return values / highest


class Network:
    """A network of rembg that runs on this machine.

    Args:
        model: Name of the network, for example 'isnet-general-use' (input 1024 x 1024).

    Raises:
        InputError: If it cannot be loaded, or would not run on this machine.
    """

    def __init__(self, model: str) -> None:
        try:
            # Without onnxruntime rembg prints advice and exits.
            with contextlib.redirect_stdout(io.StringIO()):
                import rembg
        except (ImportError, SystemExit) as error:
            raise InputError(
                f'removing backgrounds needs rembg and onnxruntime ({error}); install them with '
                f'{EXTRAS}, or give --masks FOLDER'
            ) from None
        self.model, self._remove = model, rembg.remove
        home = os.path.join(os.environ.get('U2NET_HOME') or '~/.u2net', f'{model}.onnx')
        try:
            self._session = rembg.new_session(model)
        except Exception as error:  # an unknown model, no connection or a wrong checksum all differ
            raise InputError(
                f'--model {model} cannot be loaded ({_reason(error)}); '
                'without an internet connection, put the file from '
                f'https://github.com/danielgatis/rembg/releases at {home}, or give --masks FOLDER'
            ) from None
        if not getattr(self._session, 'is_local', lambda: True)():
            raise InputError(
                f'--model {model} would send the photos to an online service; choose a model that '
                'runs on this machine, for example isnet-general-use'
            )

    def __call__(self, name: str, photo: Image.Image) -> Image.Image:
        """Return the mask of a photo, an 'L' image of its size."""
        try:
            mask = self._remove(photo, session=self._session, only_mask=True)
        except Exception as error:  # rembg raises many kinds of exceptions here too
            raise InputError(
                f'{name}: {self.model} found no mask ({_reason(error)}); '
                'choose another --model, or give --masks FOLDER'
            ) from None
        if mask.size != photo.size:
            raise InputError(
                f'{name}: the mask of {self.model} has size {mask.size}, but the photo has '
                f'{photo.size}; choose another --model'
            )
        return mask.convert('L')
