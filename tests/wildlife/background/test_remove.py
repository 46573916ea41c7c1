"""Options, folders, broken photos, and the contact sheet."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.wildlife.background.world import (
    NAMES,
    left_half,
    masked,
    names_in,
    picture,
    pixels,
    run,
    save,
)
from utils.errors import InputError
from wildlife.background import command_line, remove


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
    with pytest.raises(InputError, match='gone: no such folder; give the folder with the photos'):
        run(tmp_path / 'gone')
    with pytest.raises(InputError, match='DST is the same folder as SRC'):
        run(src, dst=src)
    with pytest.raises(InputError, match='contains no photo'):
        (tmp_path / 'empty').mkdir()
        run(tmp_path / 'empty')
    with pytest.raises(InputError, match='--masks .*: no such folder'):
        run(src, '--masks', tmp_path / 'gone')


def test_saved_masks(src, tmp_path):
    """They are those that were used, and can be read again."""
    kept = tmp_path / 'kept'
    assert masked(src, '--save-masks', kept, '--threshold', '0.5')['written'] == 4
    assert names_in(kept) == {f'{name.rsplit(".", 1)[0]}.png' for name in NAMES}
    assert np.array_equal(np.asarray(Image.open(kept / 'train/1/a.png')), left_half())
    again = tmp_path / 'again'
    assert run(src, '--masks', kept, dst=again)['written'] == 4
    assert np.array_equal(pixels(again / NAMES[1]), pixels(tmp_path / 'dst' / NAMES[1]))
    (kept / 'train/1/a.png').unlink()
    assert masked(src, '--save-masks', kept, '--threshold', '0.5')['written'] == 1
    assert (kept / 'train/1/a.png').is_file()


def test_saved_masks_replace_nothing(src, tmp_path):
    for folder in (src, tmp_path / 'dst', tmp_path / 'masks'):
        with pytest.raises(InputError, match='(?=.*--save-masks).*is the same folder as'):
            masked(src, '--save-masks', folder)
    save(picture(5), src / 'train/1/a.bmp')
    with pytest.raises(InputError, match='would both become train/1/a.png; .*--save-masks'):
        run(src, '--save-masks', tmp_path / 'kept')
    assert not (tmp_path / 'dst').exists() and not (tmp_path / 'kept').exists()


def test_a_photo_of_a_type_that_is_not_written(src):
    save(picture(5), src / 'train/1/e.gif')
    save(left_half(), src.parent / 'masks/train/1/e.png')
    with pytest.raises(
        InputError, match='train/1/e.gif: this file type cannot be written; add --format png'
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
        'warning: 2 files do not have the extension of a photo and are skipped '
        '(notes.txt, train/1/x.xcf)' in capsys.readouterr().err
    )


def test_links_to_folders_are_followed_but_not_in_circles(src):
    (src / 'train/2').rename(src.parent / 'elsewhere')
    (src / 'train/2').symlink_to(src.parent / 'elsewhere')
    (src.parent / 'elsewhere/back').symlink_to(src)
    assert masked(src)['written'] == 4


def test_no_photo_is_replaced(src):
    (src.parent / 'dst').mkdir()
    (src.parent / 'dst/train').symlink_to(src / 'train')
    settings = command_line.parse([str(src), 'x', '--masks', 'y']).settings()
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
        InputError, match='the contact sheet would replace this file; give another path as --sheet'
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
            match=r'1 of 4 photos failed \(train/1/a.jpg\); .*a.jpg: not a picture',
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


def test_from_the_command_line(src, zygote):
    words = (src, src.parent / 'dst', '--masks', src.parent / 'gone')
    done = zygote.finish('-m', 'tools.remove_background', *words)
    assert (
        done.returncode == 2
        and done.stderr.startswith('error: --masks')
        and done.stderr.count('\n') == 1
    )
