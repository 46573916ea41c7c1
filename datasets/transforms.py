"""From a file to a tensor: reading a photo, and the two transforms."""
import os

import numpy as np
from PIL import Image, UnidentifiedImageError
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode

from utils.errors import InputError


def make_train_transform(size, flip, padding, erase, mean, std):
    """Stage 2's transform: PIL RGB image -> float32 tensor (3, height, width).

    size: (height, width) in pixels. flip, erase: probabilities of the horizontal flip and of the erased box.
    padding: zeros added on each side before the random crop, in pixels. mean, std: per channel, of values in 0 … 1.

    Random erasing fills one box of 2 % to 1/3 of the area, aspect 0.3 to 1/0.3, with standard normal noise per pixel
    (Zhong et al., AAAI 2020); torchvision draws it from the same distribution as timm's mode='pixel', max_count=1. All
    randomness comes from torch's default generator.
    """
    return T.Compose([
        T.Resize(list(size), interpolation=InterpolationMode.BICUBIC),
        T.RandomHorizontalFlip(p=flip),
        T.Pad(padding),
        T.RandomCrop(tuple(size)),
        T.ToTensor(),
        T.Normalize(mean=mean, std=std),
        T.RandomErasing(p=erase, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), value='random'),
    ])


def make_test_transform(size, mean, std):
    """The transform of tests, validation and stage 1: PIL RGB image -> float32 tensor (3, height, width)."""
    return T.Compose([
        T.Resize(list(size), interpolation=InterpolationMode.BILINEAR),
        T.ToTensor(),
        T.Normalize(mean=mean, std=std),
    ])


def read_image(path):
    """Read a photo of any mode as an RGB PIL image of 8 bits.

    16-bit grey values keep their high byte, as Pillow does for 16-bit colour; transparency is dropped. EXIF rotation is
    not applied, as in the published pipeline. Raises ``InputError`` where the file is no readable picture.
    """
    try:
        if os.path.getsize(path) == 0:
            raise InputError(f'{path}: the photo is an empty file; {REMEDY}')
        with Image.open(path) as image:
            return _to_rgb(image)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f'{path}: not a picture in any format that Pillow reads; {REMEDY}') from None
    except Exception as error:  # decoders raise anything on broken files: OSError, SyntaxError, struct.error …
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise InputError(f'{path}: the photo cannot be decoded ({reason}); {REMEDY}') from None


REMEDY = 'replace it or take it out of the list'


def _to_rgb(image):
    if image.mode.startswith('I'):  # I;16, I;16B, I: Pillow would clip at 255
        high_byte = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(high_byte.clip(0, 255).astype(np.uint8))
    elif 'transparency' in image.info:  # straight to RGB Pillow warns
        image = image.convert('RGBA')
    return image.convert('RGB')
