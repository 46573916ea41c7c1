"""The two transforms: against the original's numbers, and against torchvision's."""

import json
import math
import random
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import make_test_transform, make_train_transform
from tests.helpers import GOLDEN as GOLDEN_DIR
from tests.oracles.loader import PlainDataset, plain_test_transform, plain_train_transform

GOLDEN = json.loads((GOLDEN_DIR / 'transforms.json').read_text())
ARRAYS = np.load(GOLDEN_DIR / 'transforms.npz')
SIZE = (256, 128)
MEAN_STD = {'cnn': ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), 'vit': ([0.5] * 3, [0.5] * 3)}


def settings(kind='cnn', size=SIZE):
    return {'size': size} | dict(zip(('mean', 'std'), MEAN_STD[kind], strict=True))


def train_transform(kind='cnn', flip=0.5, padding=10, erase=0.5, size=SIZE):
    return make_train_transform(flip=flip, padding=padding, erase=erase, **settings(kind, size))


def photo(number, tmp_path):
    Image.fromarray(ARRAYS[f'photo{number}/uint8']).save(tmp_path / 'photo.png')
    return tmp_path / 'photo.png'


def seed_of(top, left, padding):
    """A seed that torchvision's random crop draws this place with, after a flip."""
    for seed in count():
        generator = torch.Generator().manual_seed(seed)
        torch.rand(1, generator=generator)
        place = [torch.randint(2 * padding + 1, (1,), generator=generator) for _ in range(2)]
        if place == [top, left]:
            return seed


def apply(transform, path, seed=0):
    return transform(transform.reading(path), seed)


def assert_golden(name, image):
    expected = GOLDEN['cases'][name]
    assert list(image.shape) == expected['shape']
    assert image.dtype == torch.float32
    assert image.sum().item() == pytest.approx(expected['sum'], abs=1.0)
    np.testing.assert_allclose(image.mean((1, 2)), expected['channel_mean'], atol=1e-4)
    np.testing.assert_allclose(
        image.std((1, 2), unbiased=False), expected['channel_std_population'], atol=1e-4
    )
    np.testing.assert_allclose(image[:, ::16, ::16], ARRAYS[f'{name}/every_16th'], atol=1e-4)


@pytest.mark.parametrize('kind', ['cnn', 'vit'])
@pytest.mark.parametrize('number', [0, 1, 2])
def test_golden_transforms(number, kind, tmp_path):
    path = photo(number, tmp_path)
    assert_golden(f'photo{number}/{kind}/test', apply(make_test_transform(**settings(kind)), path))
    assert_golden(
        f'photo{number}/{kind}/train_resize_tensor_normalise',
        apply(train_transform(kind, flip=0, padding=0, erase=0), path),
    )
    flipped = apply(
        train_transform(kind, flip=1, padding=10, erase=0), path, seed_of(3, 17, padding=10)
    )
    assert_golden(f'photo{number}/{kind}/train_flip_pad10_crop_top3_left17', flipped)


@pytest.mark.parametrize('number', [0, 1, 2])
def test_golden_resizing(number, tmp_path):
    path = photo(number, tmp_path)
    test = make_test_transform(**settings()).reading(path)
    np.testing.assert_array_equal(test, ARRAYS[f'photo{number}/test_resized_uint8'])
    np.testing.assert_array_equal(
        train_transform().reading(path), ARRAYS[f'photo{number}/train_resized_uint8']
    )


def test_the_plain_steps_are_the_originals():
    """So that equality with the plain transforms is equality with the original."""
    assert [str(step) for step in plain_test_transform(**settings()).transforms] == GOLDEN[
        'test_steps'
    ]
    plain = plain_train_transform(flip=0.5, padding=10, erase=0.5, **settings()).transforms
    assert [str(step) for step in plain[:-1]] == GOLDEN['train_steps'][:-1]
    erasing, expected = plain[-1], GOLDEN['random_erasing']
    assert erasing.probability == expected['probability']
    assert (erasing.min_area, erasing.max_area) == (expected['min_area'], expected['max_area'])
    assert erasing.log_aspect_ratio == pytest.approx(expected['log_aspect_ratio'])
    assert erasing.per_pixel and (erasing.min_count, erasing.max_count) == (1, 1)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    """Photos of odd sizes and modes, smaller and larger than what they become."""
    folder, rng, made = tmp_path_factory.mktemp('photos'), np.random.default_rng(3), []
    sizes = [(33, 47), (200, 91), (1, 1), (5, 300), (64, 32), (127, 255), (21, 9)]
    for number, (size, mode) in enumerate(
        zip(sizes, ('RGB', 'RGB', 'RGB', 'L', 'RGB', 'RGBA', 'P'), strict=True)
    ):
        path = folder / f'{number}.{"jpg" if number < 4 else "png"}'
        Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).convert(mode).save(
            path, quality=60
        )
        made.append(Record(str(path), pid=number + 3, camid=number % 2, viewid=number % 3))
    return made


def equal(mine, plain):
    """To rounding, 1/5000 of a grey level; samples or batches."""
    torch.testing.assert_close(mine[0], plain[0], rtol=0, atol=2e-6)
    return mine[1:] == plain[1:]


@pytest.mark.parametrize('size', [(256, 128), (31, 17), (12, 40), (2, 2), (1, 5)])
@pytest.mark.parametrize('kind', ['cnn', 'vit'])
def test_the_test_transform_is_torchvisions(records, kind, size):
    mine = ImageDataset(records, make_test_transform(**settings(kind, size)))
    plain = PlainDataset(records, plain_test_transform(**settings(kind, size)))
    for index in range(len(records)):
        assert equal(mine[index], plain[index])


@pytest.mark.parametrize(
    ('flip', 'padding', 'erase'),
    [
        (0.5, 10, 0.5),
        (0, 10, 0.5),
        (1, 10, 0.5),
        (0.5, 0, 0.5),
        (0.5, 3, 0),
        (0.5, 3, 1),
        (1, 0, 1),
        (0, 0, 0),
        (0.1, 1, 0.3),
    ],
)
@pytest.mark.parametrize(
    'size', [(64, 32), (31, 17), (3, 40), (2, 2), (1, 1)]
)  # in the small ones hardly a box fits
def test_the_train_transform_is_torchvisions(records, size, flip, padding, erase):
    """Same draws, same floats."""
    chosen = {'flip': flip, 'padding': padding, 'erase': erase}
    mine = ImageDataset(records, train_transform(size=size, **chosen))
    plain = PlainDataset(records, plain_train_transform(**chosen, **settings(size=size)))
    for seed in range(100):
        pair = seed % len(records), seed * 104729 % 2**32
        assert equal(mine[pair], plain[pair])


def test_every_random_step_happens():
    """Else the test above would compare little."""
    pixels = np.random.default_rng(0).integers(1, 256, (16, 8, 3)).astype(np.uint8)
    moves = train_transform('vit', padding=3, erase=0, size=(16, 8))
    images = torch.stack([moves(pixels, seed) for seed in range(1000)])
    assert len(images.unique(dim=0)) == 2 * 7 * 7  # flip, top, left
    erases = train_transform('vit', padding=3, size=(16, 8))
    assert 100 < len(boxes_of([erases(pixels, seed) for seed in range(300)])) < 200


def test_images_of_inference_mode_do_not_spoil_training(records):
    """The transform keeps constants; made in inference mode they must not hinder autograd later."""
    dataset = ImageDataset(records, make_test_transform(**settings(size=(9, 5))))
    with torch.inference_mode():
        dataset[0]
    weight = torch.ones(4, 3, 3, 3, requires_grad=True)
    torch.conv2d(dataset[0][0][None], weight).sum().backward()
    assert weight.grad is not None


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


def boxes_of(images):
    """(top, left, height, width) of each erased box: what is no grey level of 'vit' images."""
    boxes = []
    for image in images:
        level = (image[0] + 1) * 127.5
        erased = (level - level.round()).abs() > 1e-4
        if erased.any():
            rows, columns = (erased.any(axis).nonzero()[:, 0] for axis in (1, 0))
            boxes.append([rows[0], columns[0], len(rows), len(columns)])
    return np.array(boxes)


def test_random_erasing_has_timms_distribution():
    """One box of pixel noise in about half of the images, its size as timm draws it."""
    times = 3000
    transform = train_transform('vit', flip=0, padding=0, size=(64, 32))
    grey = np.full((64, 32, 3), 100, np.uint8)
    images = torch.stack([transform(grey, seed) for seed in range(times)])
    boxes = boxes_of(images)
    tops, sizes = boxes[:, 0] / (64 - boxes[:, 2]), boxes[:, 2:]
    assert len(sizes) / times == pytest.approx(0.5, abs=0.04)
    expected = boxes_by_hand(4000, 64, 32)
    quantiles = np.linspace(0.1, 0.9, 9)
    for measure in (lambda box: box.prod(1) / (64 * 32), lambda box: np.log(box[:, 0] / box[:, 1])):
        mine, timms = measure(sizes), measure(expected)
        np.testing.assert_allclose(
            np.quantile(mine, quantiles), np.quantile(timms, quantiles), atol=0.12
        )
        assert abs(mine.mean() - timms.mean()) < 0.05
    area = sizes.prod(1) / (64 * 32)
    assert area.min() > 0.015 and area.max() < 0.345
    assert np.mean(tops) == pytest.approx(0.5, abs=0.04)
    erased = [image for image in images if len(boxes_of([image]))]
    noise = torch.cat(
        [
            image[:, top : top + height, left : left + width].flatten()
            for image, (top, left, height, width) in zip(erased, boxes, strict=True)
        ]
    )
    assert abs(noise.mean().item()) < 0.05 and abs(noise.std().item() - 1) < 0.05


def test_randomness_comes_from_the_sample_seed_alone(records):
    dataset, results = ImageDataset(records, train_transform()), []
    for number in range(2):
        torch.manual_seed(number)
        np.random.seed(number)
        random.seed(number)
        before, state = torch.get_rng_state(), random.getstate()
        results.append(dataset[1, 5][0])
        assert torch.equal(torch.get_rng_state(), before) and random.getstate() == state
    assert torch.equal(*results)
    assert not torch.equal(dataset[1, 6][0], results[0])


def test_sizes_are_height_and_width(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    path = tmp_path / 'a.png'
    Image.fromarray(colour).save(path)
    pixels = make_test_transform(**settings(size=(40, 20))).reading(path)
    assert (pixels.shape, pixels.dtype) == ((40, 20, 3), np.uint8)
    np.testing.assert_array_equal(
        pixels, Image.fromarray(colour).resize((20, 40), Image.Resampling.BILINEAR)
    )
