"""Photos that are rejected, and those just within the limits."""

import errno
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets import images
from datasets.dataset import ImageDataset
from datasets.images import find_turned, find_unreadable, read_image
from datasets.records import Record
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from tests.datasets.photo_files import COLOUR, png, saved
from utils.errors import InputError

MEAN = STD = (0.5, 0.5, 0.5)


@pytest.mark.filterwarnings('error')
def test_no_warning_of_photos_that_are_allowed(tmp_path):
    """Pillow's own limit is half of ours."""
    (tmp_path / 'a.tif').write_bytes(tiff(12_000, 8_000))
    assert (
        find_turned([tmp_path / 'a.tif']) == []
        and 'decoded' in find_unreadable([tmp_path / 'a.tif'])[tmp_path / 'a.tif']
    )


def test_pillow_prints_no_warnings(tmp_path):
    """It warns of more pixels than our limit, of a TIFF that is cut off, and of the broken EXIF of
    a good photo.
    """
    (tmp_path / 'large.png').write_bytes(png(13_378, 13_377))
    whole = saved(tmp_path, Image.fromarray(COLOUR), 'cut.tif').read_bytes()
    (tmp_path / 'cut.tif').write_bytes(
        b'II*\0' + struct.pack('<I', len(whole)) + whole[8:]
    )  # nothing where tags should be
    Image.fromarray(COLOUR).save(
        tmp_path / 'exif.jpg', exif=Image.Exif().tobytes()[:12] + b'\x09\0'
    )
    code = (
        'from sys import argv; from datasets.images import find_turned, find_unreadable; '
        "print(find_turned(argv[1:]), *find_unreadable(argv[1:]).values(), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=True,
    )
    turned, cut, large = done.stdout.splitlines()
    assert turned == '[]' and 'truncated TIFF' in cut
    assert large == 'the photo has more than 178956970 pixels (13378 x 13377)' and not done.stderr


def test_broken_photos_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    for name in ('cut.jpg', 'cut.png', 'cut.tif'):
        whole = saved(tmp_path, Image.fromarray(noise), name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('not a picture')
    (tmp_path / 'folder.jpg').mkdir()
    os.mkfifo(tmp_path / 'pipe.jpg')  # nobody writes to it
    os.symlink('/dev/zero', tmp_path / 'device.jpg')
    (tmp_path / 'letter.jpg').write_bytes(
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n'
    )  # Ghostscript's
    (tmp_path / 'bare.bmp').write_bytes(
        saved(tmp_path, Image.new('RGB', (4, 4)), 'a.bmp')
        .read_bytes()
        .replace(struct.pack('<ii', 4, 4), struct.pack('<ii', 4, 0), 1)
    )
    for name, complaint in [
        ('cut.jpg', 'cannot be decoded'),
        ('cut.png', 'cannot be decoded'),
        ('cut.tif', ''),
        ('empty.jpg', 'empty file'),
        ('text.jpg', 'not a picture'),
        ('folder.jpg', 'pipe or device'),
        ('pipe.jpg', 'pipe or device'),
        ('device.jpg', 'pipe or device'),
        ('letter.jpg', 'not a picture in a supported format'),
        ('bare.bmp', ''),
    ]:
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        message = str(caught.value)
        assert (
            message.startswith(str(tmp_path / name))
            and complaint in message
            and '\n' not in message
        )
        assert 'remove it from the list' in message


def tiff(width, height):
    """A TIFF without a strip of pixels, which Pillow opens without a look at its size."""
    tags = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, 1),
    ]
    return (
        b'II*\0\x08\0\0\0'
        + struct.pack('<H', len(tags))
        + b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
        + b'\0\0\0\0'
    )


TEXT_BOMB = b'comment\0\0' + zlib.compress(bytes(10**8))


@pytest.mark.parametrize(
    ('name', 'content', 'complaint'),
    [
        ('bomb.png', png(60_000, 60_000), 'exceeds limit of 357913940 pixels'),
        ('nearly.png', png(13_378, 13_377), 'more than 178956970 pixels'),
        ('bomb.tif', tiff(50_000, 50_000), 'exceeds limit of 357913940 pixels'),
        ('long.png', png(1, 100_000), '1 x 100000 pixels, one side more than 100 times the other'),
        ('wide.png', png(1010, 10), '1010 x 10 pixels'),
        ('text.png', png(8, 8, (b'zTXt', TEXT_BOMB)), 'cannot be decoded'),
        ('profile.png', png(8, 8, (b'iCCP', TEXT_BOMB)), ''),
    ],
)
def test_malicious_pictures_are_rejected(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    try:
        read_image(tmp_path / name)
    except InputError as error:
        assert (
            str(error).startswith(f'{tmp_path / name}: ')
            and complaint in str(error)
            and '\n' not in str(error)
        )
    else:
        assert not complaint  # harmless


def test_just_within_the_limits(tmp_path, monkeypatch):
    (tmp_path / 'a.png').write_bytes(png(1000, 10))
    assert read_image(tmp_path / 'a.png').size == (1000, 10)
    monkeypatch.setattr(images, 'MAX_PIXELS', 600)
    assert read_image(saved(tmp_path, Image.fromarray(COLOUR), 'b.png')).size == (30, 20)
    with pytest.raises(InputError, match=r'pixels \(31 x 20\)'):
        read_image(saved(tmp_path, Image.new('L', (31, 20)), 'c.png'))


def test_an_animation_gives_its_first_picture(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), value % 256, np.uint8)) for value in range(3000)]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    assert np.asarray(read_image(tmp_path / 'a.gif')).max() == 0


def test_the_contents_count_not_the_name(tmp_path):
    saved(tmp_path, Image.fromarray(COLOUR), 'a.png').rename(tmp_path / 'a.jpg')
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / 'a.jpg')), COLOUR)


@pytest.mark.parametrize('gone', ['season/tiger/39.png', 'season/tiger', 'season'])
@pytest.mark.parametrize('workers', [0, 2])
def test_photos_that_vanish_during_an_epoch(tmp_path, gone, workers):
    """As of a disk that is pulled out: told at once, and no worker hangs."""
    folder = tmp_path / 'season' / 'tiger'
    folder.mkdir(parents=True)
    records = [
        Record(str(saved(folder, Image.fromarray(COLOUR), f'{number}.png')), 0)
        for number in range(40)
    ]
    loader = ImageLoader(
        ImageDataset(records, make_test_transform((4, 4), MEAN, STD)),
        batch_size=1,
        num_workers=workers,
    )
    batches = iter(loader)
    next(batches)
    (tmp_path / gone).rename(tmp_path / 'elsewhere')
    with pytest.raises(InputError) as caught:
        list(batches)
    message = str(caught.value)
    assert (
        message.startswith(str(folder))
        and 'the photo cannot be read' in message
        and '\n' not in message
    )
    assert 'No such file or directory' in message and '--resume' in message


def test_a_photo_that_the_disk_does_not_give(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(COLOUR), 'a.png')

    def fail(*args, **options):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr(images.Image, 'open', fail)
    with pytest.raises(
        InputError,
        match=r'a.png: the photo cannot be read \(Input/output error\).*--resume',
    ):
        read_image(path)


def test_a_jpeg_of_too_many_scans(tmp_path):
    """A progressive JPEG is decoded anew for each scan: 0.1 MB could take minutes."""
    path = tmp_path / 'scans.jpg'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        path, progressive=True
    )
    assert read_image(path).size == (64, 64)
    content = path.read_bytes()
    last = content.rindex(b'\xff\xda')
    path.write_bytes(content[:last] + content[last:-2] * 101 + content[-2:])
    with pytest.raises(InputError, match=r'scans.jpg: a JPEG of \d+ scans, more than 100'):
        read_image(path)
