"""wildlife/prepare.py, by whole runs of make_lists and by its functions."""

import os

import numpy as np
from PIL import Image

from configs import load_cfg
from datasets.images import Header, read_header
from tests.wildlife.lists.samples import (
    BLUE,
    RED,
    fails,
    photo_rows,
    run,
    save,
    unlike_others,
    write_csv,
    write_folder,
)
from utils.errors import InputError
from wildlife import prepare
from wildlife.crops import find_change
from wildlife.prepare import listable, prepared_name


def test_boxes_are_cut_out_with_a_margin_and_originals_stay(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    rows, before = [], {}
    for individual in range(6):
        for number in range(3):
            path = tmp_path / f'{individual}_{number}.png'
            Image.fromarray(picture).save(path)
            unlike_others(path)
            before[path] = path.read_bytes(), path.stat().st_mtime_ns
            rows.append(
                {
                    'path': path.name,
                    'identity': individual,
                    'bbox': f'[10, 20, {20 + individual}, 10]',
                }
            )
    rows[0]['bbox'] = '[-5, -5, 10, 10]'
    rows[1]['bbox'] = ''
    rows += [
        rows[4] | {'identity': 5, 'bbox': '[40.2, 30, 15.5, 12]'}
    ]  # a second animal on the photo
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--margin', 0.1)
    assert facts['source']['columns']['bbox'] == 'bbox'
    listed = {
        (row['source'], row['identity']): row['listed'] for row in photo_rows(tmp_path / 'out')
    }

    def pixels(source, identity):
        return np.asarray(Image.open(tmp_path / 'out' / 'photos' / listed[source, identity]))

    assert (
        pixels('2_0.png', '2') == picture[19:31, 7:35]
    ).all()  # 22 wide: 2.2 aside, pixels that are touched count
    assert (pixels('0_0.png', '0') == picture[0:6, 0:6]).all()
    assert (pixels('0_1.png', '0') == picture).all()
    assert (pixels('1_1.png', '5') == picture[28:44, 38:58]).all()
    assert listed['1_1.png', '1'] != listed['1_1.png', '5']
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    rerun = {path: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').iterdir()}
    run(tmp_path / 'm.csv', tmp_path / 'out', '--margin', 0.1, '--force')
    assert {
        path: path.stat().st_ino
        for path in (tmp_path / 'out' / 'photos').iterdir()
        if path in rerun and path.suffix
    } == {path: inode for path, inode in rerun.items() if path.suffix}  # nothing is made twice


def test_turned_photos_are_prepared_and_others_are_copied(tmp_path):
    source = write_folder(tmp_path / 's')
    exif = Image.Exif()
    exif[0x112] = 6
    save(source / 'a00' / 'turned.jpg', size=(40, 20), exif=exif)
    facts = run(source, tmp_path / 'out', '--val-share', 0)
    photos = tmp_path / 'out' / 'photos'
    with Image.open(photos / 'a00' / 'turned.jpg') as image:
        assert image.size == (20, 40) and not image.getexif().get(0x112)
    assert (photos / 'a01' / '0.png').read_bytes() == (source / 'a01' / '0.png').read_bytes()
    assert not os.path.samefile(photos / 'a01' / '0.png', source / 'a01' / '0.png')
    assert facts['source']['photos_folder'].endswith('out/photos')
    cfg = load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml')
    assert os.path.samefile(cfg.DATASETS.TEST_ROOT_DIR, photos)
    with Image.open(source / 'a00' / 'turned.jpg') as image:
        assert image.size == (40, 20) and image.getexif()[0x112] == 6
    message = fails(source, source / 'lists')
    assert (
        'so the next run would read the prepared photos as originals' in message
        and not (source / 'lists').exists()
    )
    save(tmp_path / 'taken' / 'mine.png')
    assert 'not empty and was not made by make_lists' in fails(
        source, tmp_path / 'out3', '--photos-out', tmp_path / 'taken'
    )
    plain = write_folder(tmp_path / 'plain')
    assert run(plain, tmp_path / 'out4')['source']['photos_folder'] == str(plain.resolve())


def test_preparing_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    source = write_folder(tmp_path / 's', 5)
    made = []

    real = prepare.prepare

    def stopped(photo, target, change):
        if len(made) == 7:
            raise InputError('the disk is full')
        made.append(target)
        real(photo, target, change)

    monkeypatch.setattr(prepare, 'prepare', stopped)
    assert fails(source, tmp_path / 'out', '--prepare') == 'the disk is full'
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['photos']
    times = {path: path.stat().st_ctime_ns for path in made}
    monkeypatch.undo()
    run(source, tmp_path / 'out', '--prepare')
    assert {path: path.stat().st_ctime_ns for path in made} == times
    assert len(list((tmp_path / 'out' / 'photos').glob('*/*.png'))) == 20


def test_prepared_photos_are_made_anew_where_their_origin_differs(tmp_path):
    def prepared(folder, *options):
        run(tmp_path / folder / 'm.csv', tmp_path / 'out', '--force', '--margin', 0, *options)
        path = next((tmp_path / 'out' / 'photos').glob('0_*.png'))
        with Image.open(path) as image:
            return path.stat().st_ino, image.getpixel((0, 0))

    exif = Image.Exif()
    exif[0x112] = 3
    for folder, top in (('a', RED), ('b', (0, 200, 0))):  # of the same names, sizes and times
        rows = []
        for number in range(12):
            image = Image.new('RGB', (24, 16), BLUE)
            image.paste(top, (0, 0, 24, 8))
            path = tmp_path / folder / f'{number}.png'
            path.parent.mkdir(exist_ok=True)
            image.save(path, exif=exif)
            unlike_others(path)
            os.utime(path, (10**9, 10**9))
            rows.append({'path': path.name, 'identity': f'n{number // 3}', 'bbox': '[2, 2, 9, 5]'})
        write_csv(tmp_path / folder / 'm.csv', rows)
    upright, stored, again = (
        prepared('a'),
        prepared('a', '--boxes', 'stored'),
        prepared('a', '--boxes', 'stored'),
    )
    assert upright[1] == BLUE and stored[1] == RED and again == stored
    assert prepared('b', '--boxes', 'stored')[1] == (0, 200, 0)
    mark = tmp_path / 'out' / 'photos' / prepare.MARK
    lines = mark.read_text().splitlines(keepends=True)
    mark.write_text(''.join(lines[1:-1]) + lines[-1][:20])  # killed while it wrote
    before = {path.name: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').glob('*.png')}
    prepared('b', '--boxes', 'stored')
    after = {path.name: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').glob('*.png')}
    assert sum(before[name] != after[name] for name in before) == 2


def test_other_formats_keep_their_pixels(tmp_path):
    picture = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    for kind in ('png', 'bmp', 'tiff', 'webp', 'gif'):
        image = Image.fromarray(picture)
        image.save(tmp_path / f'a.{kind}', **({'lossless': True} if kind == 'webp' else {}))
        with Image.open(tmp_path / f'a.{kind}') as image:
            expected = np.asarray(image.convert('RGB'))[2:10, 3:9]
        change = find_change((3, 2, 6, 8), read_header(tmp_path / f'a.{kind}'))
        name = prepared_name(f'a.{kind}', change)
        assert name == f'a__3_2_6_8.{kind}' + ('.png' if kind == 'gif' else '')
        prepare.prepare(tmp_path / f'a.{kind}', tmp_path / 'out' / name, change)
        with Image.open(tmp_path / 'out' / name) as image:
            assert (np.asarray(image) == expected).all() and image.format == {'gif': 'PNG'}.get(
                kind, kind.upper()
            )


def test_names_that_a_list_cannot_hold(tmp_path):
    assert [
        listable(name)
        for name in ('a/b c.jpg', ' a.jpg', 'a\\b.jpg', 'a b', 'a.jpg', 'x' * 950 + '.jpg')
    ] == [True, False, False, False, True, False]
    source = write_folder(tmp_path / 's', 5)
    save(source / 'a00' / 'odd\\name.png')
    run(source, tmp_path / 'out')
    rows = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert (
        rows['a00/odd\\name.png'] == 'a00/odd_name.png'
        and (tmp_path / 'out' / 'photos' / 'a00' / 'odd_name.png').is_file()
    )


def test_paths_that_are_too_long_for_a_list(tmp_path):
    source = write_folder(tmp_path / 's', 5)
    deep = '/'.join(['a00', *(['q' * 200] * 5)])
    for name in ('x.png', 'y.png'):
        save(source / deep / name)
    facts = run(source, tmp_path / 'out', '--identity-level', 1)
    rows = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert facts['source']['individuals'] == 5 and rows[f'{deep}/x.png'] != rows[f'{deep}/y.png']
    for name in ('x.png', 'y.png'):
        listed = rows[f'{deep}/{name}']
        assert (
            listable(listed)
            and len(listed) < 50
            and (tmp_path / 'out' / 'photos' / listed).is_file()
        )
    change = find_change((2, 2, 9, 9), Header((30, 20), 1, 'PNG'))
    assert (
        len(prepared_name('z' * 245 + '.png', change)) < 50
    )  # with its box in it, the name would be too long for a folder
