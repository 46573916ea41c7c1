"""Backgrounds removed by masks of files and by a stand-in for rembg: pixels, names, going on, what
is refused.
"""

import json
import os
import subprocess
import sys
import types
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tools import remove_background
from utils.errors import InputError
from wildlife.background import masks, remove
from wildlife.background.masks import read_mask

SIZE = (24, 16)  # width, height
NAMES = ['train/1/a.jpg', 'train/1/b.png', 'train/2/c.JPEG', 'val/2/d.bmp']


def picture(number, size=SIZE):
    pixels = np.full((size[1], size[0], 3), 60 + 20 * number, np.uint8)
    pixels[:, : size[0] // 2, 0] = 200
    return Image.fromarray(pixels)


def left_half(size=SIZE, value=255):
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[:, : size[0] // 2] = value
    return mask


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options) if isinstance(image, np.ndarray) else image.save(
        path, **options
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB')).astype(int)


@pytest.fixture
def src(tmp_path):
    for number, name in enumerate(NAMES):
        save(picture(number), tmp_path / 'src' / name, quality=95)
        save(left_half(), (tmp_path / 'masks' / name).with_suffix('.png'))
    return tmp_path / 'src'


def run(src, *options, dst=None):
    dst = dst or src.parent / 'dst'
    return remove_background.main([str(src), str(dst), *map(str, options)])


def masked(src, *options, **more):
    return run(src, '--masks', src.parent / 'masks', *options, **more)


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


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
    with pytest.raises(
        InputError, match=r'1 of 2 listed photos are not there \(train/1/gone.jpg\)'
    ):
        masked(src, '--list', src.parent / 'list.txt')


def test_photos_are_taken_as_stored(src):
    """EXIF says rotate; the training does not, so neither the mask nor the result is rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(picture(0), src / NAMES[0], quality=95, exif=exif)
    masked(src)
    with Image.open(src.parent / 'dst' / NAMES[0]) as image:
        assert image.size == SIZE and not image.getexif()


# --- going on ---


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
        match=r'made with background \[0, 0, 0\], not \[255, 255, 255\]; give another folder',
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
        with pytest.raises(InputError, match='is no summary of this tool'):
            masked(src)


# --- suspicious masks ---


def test_suspicious_photos(src, capsys):
    save(0 * left_half(), src.parent / 'masks/train/1/b.png')
    save(0 * left_half() + 255, src.parent / 'masks/val/2/d.png')
    result = masked(src)
    empty, full = {'mask': 'empty', 'share': 0.0}, {'mask': 'full', 'share': 1.0}
    assert result['suspicious'] == {'train/1/b.png': empty, 'val/2/d.bmp': full}
    assert (
        json.loads((src.parent / 'dst/summary.json').read_text())['suspicious']
        == result['suspicious']
    )
    assert (
        pixels(src.parent / 'dst/train/1/b.png') == pixels(src / 'train/1/b.png')
    ).all()  # never all black
    said = capsys.readouterr().err
    assert '1 photos have an empty mask and keep their background (train/1/b.png)' in said
    assert '1 photos have hardly any background (val/2/d.bmp)' in said
    save(left_half(), src.parent / 'masks/train/1/b.png')
    (src.parent / 'dst/train/1/b.png').unlink()
    assert list(masked(src)['suspicious']) == ['val/2/d.bmp']  # mended


# --- masks ---


def _rgba(alpha, grey=0):
    return np.dstack([np.full((*alpha.shape, 3), grey, np.uint8), alpha])


MASKS = {
    'grey.png': left_half(),
    'ones.png': left_half(value=1),
    'alpha.png': _rgba(left_half()),
    'opaque.png': np.dstack([np.dstack([left_half()] * 3), np.full(SIZE[::-1], 255, np.uint8)]),
    'rgb.png': np.dstack([left_half()] * 3),
    'bits16.png': left_half().astype(np.uint16) * 257,
    'ones16.png': left_half(value=1).astype(np.uint16),
    'bytes16.png': left_half().astype(np.uint16),
    'bytes32.tif': left_half().astype(np.int32),
    'float32.tif': (left_half() / 255).astype(np.float32),
    'bool.npy': left_half() > 0,
    'float.npy': (left_half() / 255).astype(np.float32),
    'labels.npy': left_half(value=1).astype(np.int64),
    'bytes.npy': left_half(),
}


@pytest.mark.parametrize('name', MASKS)
def test_kinds_of_masks(tmp_path, name):
    np.save(tmp_path / name, MASKS[name]) if name.endswith('.npy') else save(
        MASKS[name], tmp_path / name
    )
    mask = read_mask(tmp_path / name)
    assert mask.mode == 'L' and mask.size == SIZE and (np.asarray(mask) == left_half()).all()


def test_soft_masks_of_more_bits(tmp_path):
    values = np.linspace(0, 65535, 384).reshape(SIZE[::-1])
    save(values.astype(np.uint16), tmp_path / 'a.png')
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.png')) - values / 257).max() <= 1
    save((values / 65535).astype(np.float32), tmp_path / 'a.tif')
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.tif')) - values / 257).max() <= 1
    for largest, kind in ((200, np.uint16), (70_000, np.int32)):
        save((values * largest / 65535).astype(kind), tmp_path / 'a.tif')
        with pytest.raises(
            InputError,
            match=f'a.tif: .*more than 8 bits, with values from 0 to {largest}; write it with 8',
        ):
            read_mask(tmp_path / 'a.tif')


def test_one_bit_and_jpeg_masks(tmp_path):
    Image.fromarray(left_half()).convert('1').save(tmp_path / 'a.png')
    assert (np.asarray(read_mask(tmp_path / 'a.png')) == left_half()).all()
    save(np.dstack([left_half()] * 3), tmp_path / 'a.jpg', quality=90)
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.jpg')).astype(int) - left_half()).max() < 40


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (np.ones((4, 4, 2), np.uint8), r'an array of uint8 \(4, 4, 2\)'),
        (np.full((4, 4), 2.0), 'values from 2.0 to 2.0'),
        (np.full((4, 4), np.nan), 'values from nan to nan'),
        (np.full((4, 4), -1), 'values from -1 to -1'),
        (np.array([['a']]), 'an array of <U1'),
        (np.array([[{}]], dtype=object), 'cannot be read'),  # a pickle is not opened
        (np.zeros((0, 4), np.uint8), 'an array of uint8'),
    ],
)
def test_arrays_that_are_no_masks(tmp_path, value, message):
    np.save(tmp_path / 'a.npy', value, allow_pickle=True)
    with pytest.raises(InputError, match=f'a.npy.*{message}'):
        read_mask(tmp_path / 'a.npy')


def test_a_coloured_picture_is_no_mask(tmp_path):
    save(picture(0), tmp_path / 'a.png')
    with pytest.raises(InputError, match='a.png: a coloured picture; a mask is grey'):
        read_mask(tmp_path / 'a.png')


def test_a_broken_mask(src):
    (src.parent / 'masks/train/1/b.png').write_bytes(b'no picture')
    with pytest.raises(InputError, match='b.png: the mask cannot be read'):
        masked(src)


def test_masks_of_another_size(src):
    save(left_half((48, 32)), src.parent / 'masks/train/1/b.png')
    with pytest.raises(InputError, match='has 48 x 32 pixels, its photo 24 x 16 .*--resize-masks'):
        masked(src)
    assert masked(src, '--resize-masks', dst=src.parent / 'dst2')['written'] == 4
    assert (pixels(src.parent / 'dst2/train/1/b.png')[:, 13:] == 0).all()
    save(left_half(SIZE[::-1]), src.parent / 'masks/train/1/b.png')
    with pytest.raises(
        InputError,
        match='b.png: the mask of 16 x 24 pixels has not the shape of its photo, 24 x 16 as stored',
    ):
        masked(src, '--resize-masks', dst=src.parent / 'dst3')


def test_masks_below_the_photos_are_none(src):
    (src.parent / 'masks').rename(src / 'masks')
    assert run(src, '--masks', src / 'masks')['written'] == 4
    with pytest.raises(InputError, match='--masks is SRC'):
        run(src, '--masks', src)
    with pytest.raises(InputError, match='DST is --masks'):
        run(src, '--masks', src / 'masks', dst=src / 'masks')


def test_names_of_masks_as_they_read(src):
    for folder, form, name in (
        (src, 'NFC', NAMES[1]),
        (src.parent / 'masks', 'NFD', 'train/1/b.png'),
    ):
        (folder / name).rename(folder / 'train/1' / unicodedata.normalize(form, 'ö.png'))
    assert masked(src)['written'] == 4


def test_missing_masks(src):
    (src.parent / 'masks/train/1/b.png').unlink()
    with pytest.raises(InputError, match=r'1 of 4 photos have no mask there \(train/1/b.png\)'):
        masked(src)
    assert not (src.parent / 'dst').exists()


def test_two_masks_of_a_photo(src):
    save(left_half(), src.parent / 'masks/train/1/b.jpg')
    with pytest.raises(InputError, match=r'train/1/b.png has several masks \(b.jpg, b.png\)'):
        masked(src)


# --- rembg ---


@pytest.fixture
def rembg(monkeypatch):
    """A stand-in with rembg's signatures; ``calls`` holds what it was given."""
    module = types.ModuleType('rembg')
    module.calls, module.session = [], types.SimpleNamespace(is_local=lambda: True)

    def new_session(model_name='bria-rmbg', *args, sess_opts=None, **kwargs):
        module.model = model_name
        return module.session

    def remove(data, *args, session=None, only_mask=False, **kwargs):
        assert session is module.session and only_mask
        module.calls.append(data)
        return Image.fromarray(left_half(data.size))

    module.new_session, module.remove = new_session, remove
    monkeypatch.setitem(sys.modules, 'rembg', module)
    return module


def test_rembg(src, rembg):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(picture(0), src / NAMES[0], quality=95, exif=exif)
    assert run(src)['written'] == 4
    assert rembg.model == 'isnet-general-use'
    assert [photo.size for photo in rembg.calls] == [SIZE] * 4 and not any(
        photo.getexif() for photo in rembg.calls
    )
    assert (pixels(src.parent / 'dst/train/1/b.png')[:, 12:] == 0).all()
    rembg.calls.clear()
    rembg.new_session = None  # nothing to do, nothing to load
    assert run(src)['kept'] == 4


def test_a_model_that_cannot_be_loaded(src, rembg, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError('no\nnetwork')

    monkeypatch.setenv('U2NET_HOME', '/models')
    rembg.new_session = fail
    with pytest.raises(
        InputError,
        match='--model x cannot be loaded .no network.; .* at /models/x.onnx; or give --masks',
    ):
        run(src, '--model', 'x')
    assert not (src.parent / 'dst').exists()


def test_photos_are_not_sent_away(src, rembg):
    rembg.session.is_local = lambda: False
    with pytest.raises(InputError, match='would send the photos to a service'):
        run(src, '--model', 'remote')
    assert not rembg.calls


def test_a_network_that_fails_on_a_photo(src, rembg):
    def remove(data, **kwargs):
        if data.getpixel((0, 0))[1] == 80:  # the second
            raise RuntimeError('out of\nmemory')
        return Image.fromarray(left_half(data.size))

    rembg.remove = remove
    with pytest.raises(
        InputError, match='1 of 4 .*: train/1/b.png: isnet-general-use found no mask .out of memory'
    ):
        run(src)
    assert (src.parent / 'dst' / NAMES[3]).exists()


def test_a_network_with_a_mask_of_another_size(src, rembg):
    rembg.remove = lambda data, **kwargs: Image.fromarray(left_half((3, 3)))
    with pytest.raises(
        InputError, match=r'the mask of isnet-general-use is \(3, 3\), the photo \(24, 16\)'
    ):
        run(src)


@pytest.mark.parametrize('how', ['absent', 'exits'])
def test_without_rembg(src, tmp_path, monkeypatch, capsys, how):
    monkeypatch.delitem(sys.modules, 'rembg', raising=False)
    if how == 'absent':
        monkeypatch.setitem(sys.modules, 'rembg', None)
    else:  # what rembg does without onnxruntime
        (tmp_path / 'lib').mkdir()
        (tmp_path / 'lib' / 'rembg.py').write_text('import sys\nprint("advice")\nsys.exit(1)\n')
        monkeypatch.syspath_prepend(tmp_path / 'lib')
    with pytest.raises(InputError, match='pip install -r requirements-extras.txt; or give --masks'):
        masks.Network('isnet-general-use')
    assert not capsys.readouterr().out


# --- the door ---


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('--background', 'blue'),
        ('--background', '1,2,300'),
        ('--threshold', '0'),
        ('--threshold', 'x'),
    ],
)
def test_bad_options(src, option, value, capsys):
    with pytest.raises(SystemExit) as error:
        masked(src, option, value)
    assert error.value.code == 2 and f"'{value}' is no" in capsys.readouterr().err


def test_bad_folders(src, tmp_path):
    with pytest.raises(InputError, match='there is no such folder; give the folder of the photos'):
        run(tmp_path / 'gone')
    with pytest.raises(InputError, match='DST is SRC'):
        run(src, dst=src)
    with pytest.raises(InputError, match='no photo below it'):
        (tmp_path / 'empty').mkdir()
        run(tmp_path / 'empty')
    with pytest.raises(InputError, match='--masks .*: there is no such folder'):
        run(src, '--masks', tmp_path / 'gone')


def test_a_photo_of_a_type_that_is_not_written(src):
    save(picture(5), src / 'train/1/e.gif')
    save(left_half(), src.parent / 'masks/train/1/e.png')
    with pytest.raises(
        InputError, match='train/1/e.gif: this type of file is not written; add --format png'
    ):
        masked(src)
    assert not (src.parent / 'dst').exists()
    assert masked(src, '--format', 'png')['written'] == 5


def test_files_that_are_left_out_are_named(src, capsys):
    (src / 'train/1/x.xcf').write_bytes(b'x')
    (src / 'notes.txt').write_bytes(b'x')
    (src / '.hidden.txt').write_bytes(b'x')
    (src / NAMES[0]).rename(src / 'train/1/a.jfif')
    assert masked(src)['written'] == 4
    assert (
        'warning: 2 files have no ending of a photo and are left out (notes.txt, train/1/x.xcf)'
        in capsys.readouterr().err
    )


def test_links_to_folders_are_followed_but_not_in_circles(src):
    (src / 'train/2').rename(src.parent / 'elsewhere')
    (src / 'train/2').symlink_to(src.parent / 'elsewhere')
    (src.parent / 'elsewhere/back').symlink_to(src)
    assert masked(src)['written'] == 4


def test_no_photo_is_replaced(src):
    (src.parent / 'dst').mkdir()
    (src.parent / 'dst/train').symlink_to(src / 'train')
    settings = remove_background.parse([str(src), 'x', '--masks', 'y']).settings()
    (src.parent / 'dst/summary.json').write_text(
        json.dumps({'settings': settings, 'suspicious': {}})
    )
    with pytest.raises(InputError, match='dst/train/1/a.jpg would replace .*/src/train/1/a.jpg'):
        masked(src)


@pytest.mark.parametrize(
    'sheet', [f'src/{NAMES[0]}', f'dst/{NAMES[0]}', 'dst/summary.json', 'masks/train/1/b.png']
)
def test_the_sheet_replaces_nothing(src, sheet):
    with pytest.raises(
        InputError, match='the contact sheet would replace this file; give another --sheet'
    ):
        masked(src, '--sheet', src.parent / sheet)
    assert not (src.parent / 'dst').exists()


def test_a_photo_called_as_the_sheet(src, rembg):
    save(picture(0), src / 'contact_sheet.png')
    with pytest.raises(
        InputError, match='dst/contact_sheet.png: the contact sheet would replace this file'
    ):
        run(src)
    assert run(src, '--sheet', src.parent / 'sheet.png')['written'] == 5


def test_results_as_photos(src, rembg):
    run(src)
    assert run(src.parent / 'dst', dst=src.parent / 'dst2')['written'] == 4  # not its sheet


def test_dst_below_src_is_no_source(src):
    assert masked(src, dst=src / 'without')['written'] == 4
    assert masked(src, dst=src / 'without')['kept'] == 4


def test_a_broken_photo_is_named_and_the_others_are_done(src):
    (src / NAMES[0]).write_bytes(b'no picture')
    for _ in range(2):
        with pytest.raises(
            InputError,
            match=r'1 of 4 photos were not done \(train/1/a.jpg\); .*a.jpg: not a picture',
        ):
            masked(src)
        assert names_in(src.parent / 'dst') == {*NAMES[1:], 'summary.json', 'contact_sheet.png'}
        assert list(json.loads((src.parent / 'dst/summary.json').read_text())['failed']) == [
            NAMES[0]
        ]
    save(picture(0), src / NAMES[0])
    assert masked(src) == {'written': 1, 'kept': 3, 'suspicious': {}}
    assert json.loads((src.parent / 'dst/summary.json').read_text())['failed'] == {}


def test_a_full_disk_ends_the_run(src, monkeypatch):
    def full(*args):
        raise InputError('cannot write x: no space')

    monkeypatch.setattr(remove, 'write_photo', full)
    with pytest.raises(InputError, match='^cannot write x'):
        masked(src)


def test_odd_names(src):
    for path, end in ((src / NAMES[0], '.jpg'), (src.parent / 'masks/train/1/a.png', '.png')):
        path.rename(path.with_name(f'odd\n\x1b\udcff{end}'))
    assert masked(src)['written'] == 4


def test_contact_sheet(src, tmp_path):
    for number in range(30):
        save(picture(number % 9), src / f'more/{number:02d}_{"long" * 20}.png')
        save(left_half(), src.parent / f'masks/more/{number:02d}_{"long" * 20}.png')
    masked(src, '--sheet', tmp_path / 'sheet.png', '--background', '255,0,255')
    sheet = pixels(tmp_path / 'sheet.png')
    assert sheet.shape[1] < 1500 and sheet.shape[0] < 1000
    cells = (sheet == (255, 0, 255)).all(axis=2)
    assert 0.02 < cells.mean() < 0.3  # the removed halves


def test_from_the_command_line(src):
    command = [
        sys.executable,
        '-m',
        'tools.remove_background',
        src,
        src.parent / 'dst',
        '--masks',
        src.parent / 'gone',
    ]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert (
        done.returncode == 2
        and done.stderr.startswith('error: --masks')
        and done.stderr.count('\n') == 1
    )
