"""Reading photos, and the two transforms against the original's numbers."""
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F

from datasets import transforms
from datasets.transforms import read_image
from utils.errors import InputError

GOLDEN_DIR = Path(__file__).resolve().parent / 'golden'
GOLDEN = json.loads((GOLDEN_DIR / 'transforms.json').read_text())
ARRAYS = np.load(GOLDEN_DIR / 'transforms.npz')
SIZE = (256, 128)
MEAN_STD = {'cnn': ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), 'vit': ([0.5] * 3, [0.5] * 3)}


def train_transform(kind='cnn', flip=0.5, padding=10, erase=0.5):
    mean, std = MEAN_STD[kind]
    return transforms.make_train_transform(size=SIZE, flip=flip, padding=padding, erase=erase, mean=mean, std=std)


def photo(number, tmp_path):
    Image.fromarray(ARRAYS[f'photo{number}/uint8']).save(tmp_path / 'photo.png')
    return read_image(tmp_path / 'photo.png')


def assert_golden(name, image):
    expected = GOLDEN['cases'][name]
    assert list(image.shape) == expected['shape']
    assert image.dtype == torch.float32
    assert image.sum().item() == pytest.approx(expected['sum'], abs=1.0)
    np.testing.assert_allclose(image.mean((1, 2)), expected['channel_mean'], atol=1e-4)
    np.testing.assert_allclose(image.std((1, 2), unbiased=False), expected['channel_std_population'], atol=1e-4)
    np.testing.assert_allclose(image[:, ::16, ::16], ARRAYS[f'{name}/every_16th'], atol=1e-4)


@pytest.mark.parametrize('kind', ['cnn', 'vit'])
@pytest.mark.parametrize('number', [0, 1, 2])
def test_golden_transforms(number, kind, tmp_path, monkeypatch):
    image, (mean, std) = photo(number, tmp_path), MEAN_STD[kind]
    assert_golden(f'photo{number}/{kind}/test', transforms.make_test_transform(size=SIZE, mean=mean, std=std)(image))
    plain = train_transform(kind, flip=0, padding=0, erase=0)
    assert_golden(f'photo{number}/{kind}/train_resize_tensor_normalise', plain(image))
    monkeypatch.setattr(T.RandomCrop, 'get_params', staticmethod(lambda image, size: (3, 17, *size)))
    flipped = train_transform(kind, flip=1, padding=10, erase=0)
    assert_golden(f'photo{number}/{kind}/train_flip_pad10_crop_top3_left17', flipped(image))


@pytest.mark.parametrize('number', [0, 1, 2])
def test_golden_resizing(number, tmp_path):
    image, (mean, std) = photo(number, tmp_path), MEAN_STD['cnn']
    test = transforms.make_test_transform(size=SIZE, mean=mean, std=std).transforms[0](image)
    np.testing.assert_array_equal(test, ARRAYS[f'photo{number}/test_resized_uint8'])
    np.testing.assert_array_equal(train_transform().transforms[0](image), ARRAYS[f'photo{number}/train_resized_uint8'])


def test_steps_are_the_originals():
    mean, std = MEAN_STD['cnn']
    steps = [str(step) for step in transforms.make_test_transform(size=SIZE, mean=mean, std=std).transforms]
    assert steps == GOLDEN['test_steps']
    assert [str(step) for step in train_transform().transforms[:-1]] == GOLDEN['train_steps'][:-1]
    erasing, expected = train_transform().transforms[-1], GOLDEN['random_erasing']
    assert erasing.p == expected['probability']
    assert erasing.scale == (expected['min_area'], expected['max_area'])
    assert [math.log(ratio) for ratio in erasing.ratio] == pytest.approx(expected['log_aspect_ratio'])
    assert erasing.value == 'random'


def boxes_by_hand(times, height, width):
    """Boxes (height, width) as timm draws them with mode='pixel', max_count=1, in plain NumPy."""
    rng = np.random.default_rng(0)
    boxes = []
    while len(boxes) < times:
        area = rng.uniform(0.02, 1 / 3) * height * width
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        box = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if box[0] < height and box[1] < width:
            boxes.append(box)
    return np.array(boxes)


def test_random_erasing_has_timms_distribution():
    """One box of pixel noise in about half of the images, its size distributed as in timm (max_count=1, 'pixel')."""
    torch.manual_seed(0)
    erasing, times, blank = train_transform().transforms[-1], 3000, torch.full((3, 64, 32), 9.0)
    sizes, tops, noise = [], [], []
    for _ in range(times):
        erased = (erasing(blank) != 9.0).all(dim=0)
        if erased.any():
            rows, columns = erased.any(dim=1).nonzero().ravel(), erased.any(dim=0).nonzero().ravel()
            sizes.append((len(rows), len(columns)))
            assert erased[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all()  # one full box
            assert erased.sum() == len(rows) * len(columns)
            tops.append(rows[0].item() / (64 - len(rows)))
    for _ in range(20):
        image = erasing(blank)
        noise.append(image[image != 9.0])
    assert len(sizes) / times == pytest.approx(0.5, abs=0.04)
    sizes, expected = np.array(sizes), boxes_by_hand(4000, 64, 32)
    quantiles = np.linspace(0.1, 0.9, 9)
    for measure in (lambda box: box.prod(1) / (64 * 32), lambda box: np.log(box[:, 0] / box[:, 1])):
        mine, timms = measure(sizes), measure(expected)
        np.testing.assert_allclose(np.quantile(mine, quantiles), np.quantile(timms, quantiles), atol=0.12)
        assert abs(mine.mean() - timms.mean()) < 0.05
    area = sizes.prod(1) / (64 * 32)
    assert area.min() > 0.015 and area.max() < 0.345
    assert np.mean(tops) == pytest.approx(0.5, abs=0.04)
    noise = torch.cat(noise)
    assert abs(noise.mean().item()) < 0.05 and abs(noise.std().item() - 1) < 0.05


def test_randomness_comes_from_torchs_generator_alone(tmp_path):
    image, transform, results = photo(0, tmp_path), train_transform(), []
    for _ in range(2):
        torch.manual_seed(5)
        np.random.random(3)
        results.append(transform(image))
    assert torch.equal(*results)


COLOUR = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
GREY = COLOUR[:, :, 0]


def saved(tmp_path, image, name):
    image.save(tmp_path / name)
    return tmp_path / name


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(('mode', 'name'), [('L', 'a.png'), ('RGB', 'a.png'), ('RGBA', 'a.png'), ('LA', 'a.png'),
                                            ('P', 'a.png'), ('1', 'a.png'), ('CMYK', 'a.jpg'), ('CMYK', 'a.tif'),
                                            ('I;16', 'a.png'), ('I;16', 'a.tif'), ('P', 'a.gif')])
def test_every_mode_becomes_rgb(tmp_path, mode, name):
    wide = Image.fromarray(GREY.astype(np.uint16) * 257)
    source = wide if mode == 'I;16' else Image.fromarray(COLOUR).convert(mode)
    with Image.open(saved(tmp_path, source, name)) as reopened:
        assert reopened.mode == mode
    image = read_image(tmp_path / name)
    assert (image.mode, image.size) == ('RGB', (30, 20))
    grey = np.repeat(GREY[:, :, None], 3, axis=2) if mode == 'I;16' else None
    expected = {'I;16': grey, 'RGB': COLOUR, 'RGBA': COLOUR}.get(mode)
    if expected is not None:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_16_bit_grey_keeps_its_high_byte(tmp_path):
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    image = read_image(saved(tmp_path, Image.fromarray(values), 'a.png'))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    big_endian = Image.frombytes('I;16B', (5, 1), values.astype('>u2').tobytes())
    image = read_image(saved(tmp_path, big_endian, 'b.tif'))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.filterwarnings('error')
def test_transparency_is_dropped(tmp_path):
    palette = Image.fromarray(COLOUR).quantize(8)
    saved(tmp_path, palette, 'plain.png')
    palette.save(tmp_path / 'clear.png', transparency=bytes([0, 128, 255]))
    expected = np.asarray(read_image(tmp_path / 'plain.png'))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / 'clear.png')), expected)
    rgba = Image.fromarray(COLOUR).convert('RGBA')
    rgba.putalpha(0)
    np.testing.assert_array_equal(np.asarray(read_image(saved(tmp_path, rgba, 'rgba.png'))), COLOUR)


def test_exif_rotation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees"
    Image.fromarray(COLOUR).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').size == (30, 20)


def test_broken_photos_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    for name in ('cut.jpg', 'cut.png', 'cut.tif'):
        whole = saved(tmp_path, Image.fromarray(noise), name).read_bytes()
        (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('not a picture')
    for name, complaint in [('cut.jpg', 'cannot be decoded'), ('cut.png', 'cannot be decoded'), ('cut.tif', ''),
                            ('empty.jpg', 'empty file'), ('text.jpg', 'not a picture'),
                            ('gone.jpg', 'cannot be decoded')]:
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name)) and complaint in message and '\n' not in message


def test_sizes_are_height_and_width(tmp_path):
    mean, std = MEAN_STD['vit']
    image = transforms.make_test_transform(size=(40, 20), mean=mean, std=std)(Image.fromarray(COLOUR))
    assert image.shape == (3, 40, 20)
    expected = F.to_tensor(Image.fromarray(COLOUR).resize((20, 40), Image.Resampling.BILINEAR)) * 2 - 1
    torch.testing.assert_close(image, expected)
