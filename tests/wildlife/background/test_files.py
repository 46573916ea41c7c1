"""Photos without background: names, formats, pixels, and resuming."""

import os

import numpy as np
import pytest
from PIL import Image

from tests.wildlife.background.world import (
    NAMES,
    SIZE,
    left_half,
    masked,
    names_in,
    picture,
    pixels,
    run,
    save,
)
from utils.errors import InputError
from wildlife.background import remove


def test_names_formats_and_pixels(src):
    originals = {name: (src / name).read_bytes() for name in NAMES}
    assert masked(src) == {'written': 4, 'kept': 0, 'suspicious': {}}
    dst = src.parent / 'dst'
    assert names_in(dst) == {*NAMES, 'summary.json', 'contact_sheet.png'}
    assert {name: (src / name).read_bytes() for name in NAMES} == originals
    for name, kind in zip(NAMES, ('JPEG', 'PNG', 'JPEG', 'BMP'), strict=True):
        with Image.open(dst / name) as image:
            assert image.format == kind
        left, right = np.split(pixels(dst / name), 2, axis=1)
        near = 0 if kind in ('PNG', 'BMP') else 40  # JPEG blurs the edge
        assert np.abs(right[:, 4:]).max() <= near / 5
        assert np.abs(left[:, :8] - pixels(src / name)[:, :8]).max() <= near


def test_jpeg_quality(src):
    masked(src)
    save(picture(0), src.parent / 'best.jpg', quality=95)
    with (
        Image.open(src.parent / 'best.jpg') as best,
        Image.open(src.parent / 'dst' / NAMES[0]) as ours,
    ):
        assert ours.quantization == best.quantization


@pytest.mark.parametrize(
    ('text', 'colour'),
    [('black', (0, 0, 0)), ('white', (255, 255, 255)), ('10,200,30', (10, 200, 30))],
)
def test_background_colour(src, text, colour):
    masked(src, '--background', text)
    assert (pixels(src.parent / 'dst' / 'train/1/b.png')[:, 12:] == colour).all()


def test_soft_edges_mix_and_a_threshold_cuts(src):
    mask = np.full(SIZE[::-1], 102, np.uint8)  # 0.4
    mask[0] = 255
    save(mask, src.parent / 'masks/train/1/b.png')
    photo = pixels(src / 'train/1/b.png')
    for options, share in (((), 0.4), (('--threshold', 0.4), 1), (('--threshold', 0.41), 0)):
        dst = src.parent / f'dst{len(options) and options[1]}'
        masked(src, *options, dst=dst)
        assert np.abs(pixels(dst / 'train/1/b.png')[1:] - np.rint(photo[1:] * share)).max() <= 1


def test_what_a_threshold_leaves_is_measured(src):
    save(left_half(value=100), src.parent / 'masks/train/1/b.png')
    assert masked(src, '--threshold', 0.5)['suspicious'] == {
        'train/1/b.png': {'mask': 'empty', 'share': 0.0}
    }
    assert (pixels(src.parent / 'dst/train/1/b.png') == pixels(src / 'train/1/b.png')).all()


def test_format_png(src):
    masked(src, '--format', 'png')
    assert names_in(src.parent / 'dst') - {'summary.json', 'contact_sheet.png'} == {
        'train/1/a.png',
        'train/1/b.png',
        'train/2/c.png',
        'val/2/d.png',
    }
    save(picture(0), src / 'train/1/a.png')
    with pytest.raises(
        InputError, match='train/1/a.jpg and train/1/a.png would both become train/1/a.png'
    ):
        masked(src, '--format', 'png', dst=src.parent / 'other')


def test_only_listed_photos(src):
    (src.parent / 'list.txt').write_text('train/1/a.jpg 0\nval/2/d.bmp 1 0\n')
    assert masked(src, '--list', src.parent / 'list.txt')['written'] == 2
    (src.parent / 'list.txt').write_text('train/1/gone.jpg 0\nval/2/d.bmp 1 0\n')
    with pytest.raises(InputError, match=r'1 of 2 listed photos are missing \(train/1/gone.jpg\)'):
        masked(src, '--list', src.parent / 'list.txt')


def test_photos_are_taken_as_stored(src):
    """EXIF says rotate; the training does not, so neither the mask nor the result is rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(picture(0), src / NAMES[0], quality=95, exif=exif)
    masked(src)
    with Image.open(src.parent / 'dst' / NAMES[0]) as image:
        assert image.size == SIZE and not image.getexif()


def test_what_is_there_is_kept(src):
    masked(src)
    dst = src.parent / 'dst'
    (dst / NAMES[1]).unlink()
    stamp = (dst / NAMES[0]).stat().st_mtime_ns
    assert masked(src) == {'written': 1, 'kept': 3, 'suspicious': {}}
    assert (dst / NAMES[0]).stat().st_mtime_ns == stamp and (dst / NAMES[1]).exists()


def test_a_stopped_run_goes_on_and_forgets_nothing(src, monkeypatch):
    save(0 * left_half(), src.parent / 'masks/train/1/a.png')
    write = remove.write_photo

    def stop(path, image):
        if path.name == 'c.JPEG':
            raise KeyboardInterrupt
        write(path, image)

    monkeypatch.setattr(remove, 'write_photo', stop)
    with pytest.raises(KeyboardInterrupt):
        masked(src)
    assert names_in(src.parent / 'dst') == {NAMES[0], NAMES[1], 'summary.json'}
    monkeypatch.undo()
    result = masked(src)
    assert (result['written'], result['kept'], list(result['suspicious'])) == (2, 2, [NAMES[0]])


@pytest.mark.parametrize('change', ['size', 'newer', 'newer mask', 'cut off'])
def test_a_photo_that_changed_is_done_again(src, change):
    masked(src)
    dst, name = src.parent / 'dst', 'train/1/b.png'
    stamp = (dst / name).stat().st_mtime
    if change == 'size':  # as old as it was
        for path, image in (
            (src, picture(3, (48, 32))),
            (src.parent / 'masks', left_half((48, 32))),
        ):
            save(image, path / name)
            os.utime(path / name, (stamp - 9, stamp - 9))
    elif change == 'cut off':
        (dst / name).write_bytes(b'')
    else:
        changed = {'newer': src, 'newer mask': src.parent / 'masks'}[change] / name
        save(picture(4) if change == 'newer' else 255 - left_half(), changed)
        os.utime(changed, (stamp + 9, stamp + 9))
    assert masked(src) == {'written': 1, 'kept': 3, 'suspicious': {}}
    kept = slice(12, None) if change == 'newer mask' else slice(0, 12)
    assert (pixels(dst / name)[:, kept] == pixels(src / name)[:, kept]).all()


def test_the_masks_may_move_and_be_scaled(src):
    masked(src)
    (src.parent / 'masks').rename(src.parent / 'elsewhere')
    assert run(src, '--masks', src.parent / 'elsewhere', '--resize-masks')['kept'] == 4


def test_photos_of_another_source_are_not_mixed(src, rembg):
    run(src)
    (src.parent / 'other').symlink_to(src)
    assert run(src.parent / 'other')['kept'] == 4  # the same one
    (src.parent / 'other').unlink()
    src.rename(src.parent / 'other')
    with pytest.raises(InputError, match='made with src .*/src, not .*/other'):
        run(src.parent / 'other')


def test_other_settings_are_not_mixed(src):
    masked(src)
    with pytest.raises(
        InputError,
        match=r'made with background \[0, 0, 0\], not with \[255, 255, 255\]; give another folder',
    ):
        masked(src, '--background', 'white')


def test_photos_of_unknown_origin_are_not_mixed(src):
    save(picture(0), src.parent / 'dst' / NAMES[0])
    with pytest.raises(InputError, match='no summary.json that says how they were made'):
        masked(src)
    for content in (
        '[1]',
        '{"settings": [["masks"]], "suspicious": {}}',
        '{"settings": {}, "suspicious": {"x": 1}}',
        '{"settings": {}, "suspicious": []}',
        '[' * 100_000,
    ):
        (src.parent / 'dst' / 'summary.json').write_text(content)
        with pytest.raises(InputError, match='is not a summary of this tool'):
            masked(src)
