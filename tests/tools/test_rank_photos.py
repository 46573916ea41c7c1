"""Known individuals for photos of unknown ones: against a plain loop, and what is refused."""

import csv
import os
import re
import shlex
import shutil

import pytest
from PIL import Image

from configs import ConfigError, load_cfg
from model.make_model_clipreid import make_model
from tests.helpers import write_photo
from tools import catalogue
from tools.rank_photos import main
from utils.checkpoint import save_state
from utils.errors import InputError
from wildlife.catalogue.store import open_catalogue


@pytest.fixture
def trained(world):
    """Arguments for a model, not trained, of the toy world, and the folder of three new photos."""
    weight = world.folder / 'toy.pth'
    save_state(make_model(load_cfg(world.yml()), 6).state_dict(), weight)
    new = world.folder / 'new'
    for number, name in enumerate(('a.png', 'deep/er/b.PNG', 'c <b>.png')):
        write_photo(new / 'x.png', 2, 20 + number)
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / 'x.png').rename(new / name)
    shutil.copy(world.folder / 'test/7/1.png', new / 'known.png')
    (new / 'notes.txt').write_text('no photo')
    return ['--photos', str(new), *world.args('TEST.WEIGHT', weight)], new


def test_the_nearest_individuals(trained, world):
    arguments, new = trained
    rows = main(arguments)
    assert list(
        csv.DictReader((world.output / 'matches/matches.csv').read_text().splitlines())
    ) == [{key: str(value) for key, value in row.items()} for row in rows]
    photos = [row['photo'] for row in rows if row['rank'] == 1]
    assert photos == sorted(
        str(new / name) for name in ('a.png', 'deep/er/b.PNG', 'c <b>.png', 'known.png')
    )
    for photo in photos:
        mine = [row for row in rows if row['photo'] == photo]
        assert [row['rank'] for row in mine] == [1, 2, 3, 4, 5] and len(
            {row['individual'] for row in mine}
        ) == 5
        distances = [float(row['distance']) for row in mine]
        assert distances == sorted(distances)
    first = next(row for row in rows if row['photo'].endswith('known.png'))
    assert (first['individual'], first['distance']) == (
        'test 7',
        '0',
    )  # the very photo is in the gallery
    assert os.path.samefile(first['known_photo'], world.folder / 'test/7/1.png')
    html = (world.output / 'matches/identify.html').read_text()
    assert html.count('<img') == 4 * 6 and 'c &lt;b&gt;.png' in html and 'c <b>' not in html


def test_the_files_of_identify_say_what_is_missing(trained, world, capsys):
    """The same answers as in matches.csv; how to get probabilities; earlier files are kept."""
    arguments, new = trained
    rows, out = main([*arguments, '--top', '2']), world.output / 'matches'
    table = list(csv.DictReader((out / 'candidates.csv').read_text().splitlines()))
    assert [(row['photo'], row['individual'], row['known_photo']) for row in table] == [
        (row['photo'], row['individual'], row['known_photo']) for row in rows
    ]
    for row, candidate in zip(rows, table):
        assert float(row['distance']) == pytest.approx(1 - float(candidate['similarity']), abs=1e-3)
    assert {(row['probability'], row['known_number']) for row in table} == {('', '')}
    said, page = capsys.readouterr().out, (out / 'identify.html').read_text()
    (line,) = (line for line in said.splitlines() if 'tools.identify' in line)
    folder = str(world.folder / 'catalogue')
    create = shlex.split(re.search('tools.catalogue (create .*?);', line)[1])
    catalogue.main([folder if word == 'CATALOGUE' else word for word in create])
    with open_catalogue(folder) as made:
        assert {'train 0', 'test 9'} < {each.name for each in made.individuals()}
        assert len(made.features().photos) == 6 * 5 + 4 * 4
    assert 'without a calibrated catalogue' in page and 'Photos of the same encounter' not in page
    assert not list(out.glob('features-*'))
    main([*arguments, '--top', '1'])
    assert len((out / 'matches.1.csv').read_text().splitlines()) == 1 + 4 * 2
    assert len((out / 'matches.csv').read_text().splitlines()) == 1 + 4


def test_lists_of_a_test_without_training(trained):
    arguments = [*trained[0], 'DATASETS.TRAIN_LIST', '', 'DATASETS.VAL_LIST', '']
    rows = main([*arguments, 'DATASETS.SPECIES', 'own'])
    assert {row['individual'] for row in rows} == {f'test {n}' for n in range(6, 10)}
    with pytest.raises(InputError, match="'own' has no query list"):
        main([*arguments, 'DATASETS.SPECIES', 'own', 'DATASETS.QUERY_LIST', ''])


def test_distractors_are_nobody(trained, world):
    with open(world.folder / 'lists/gallery.txt', 'a') as file:
        file.write('7/../nobody.png -1\n')
    write_photo(world.folder / 'test/nobody.png', 2, 30)
    (world.folder / 'lists/photos.csv').write_text('identity,listed\nBo,nobody.png\n')
    rows = main([*trained[0], '--top', '99'])
    assert {row['individual'] for row in rows} == {f'train {n}' for n in range(6)} | {
        f'test {n}' for n in range(6, 10)
    }


def test_names_that_make_lists_wrote(trained, world):
    lines = [line.split() for line in (world.folder / 'lists/train.txt').read_text().splitlines()]
    (world.folder / 'lists/photos.csv').write_text(
        'identity,listed\n'
        + ''.join(f'"Ann, {label}",{path}\n' for path, label, _ in lines)
        + 'Bo,\n'
    )
    names = {row['individual'] for row in main([*trained[0][:2], '--top', '20', *trained[0][2:]])}
    assert names == {f'Ann, {n}' for n in range(6)} | {f'train {n}' for n in range(6)} | {
        f'test {n}' for n in range(6, 10)
    }


def test_turned_photos_are_taken_upright(trained, world, capsys):
    """A photo of the gallery, stored as a camera on its side stores it, and files that are no
    photos.
    """
    arguments, new = trained
    with Image.open(world.folder / 'test/7/1.png') as image:
        exif = image.getexif()
        exif[0x112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(new / 'turned.png', exif=exif)
    (new / '._turned.png').write_bytes(b'\0\1')
    rows = main(arguments)
    first = next(row for row in rows if row['photo'] == str(new / 'turned.png'))
    assert (first['individual'], first['distance']) == ('test 7', '0')
    said = capsys.readouterr().out
    assert (
        f'skipped in {new}: 1 x hidden file, for example ._turned.png, '
        "1 x not a photo ('.txt'), for example notes.txt"
    ) in said


@pytest.mark.parametrize(('kind', 'orientation'), [('jpg', 6), ('png', 3), ('webp', 5), ('tif', 8)])
def test_a_turned_photo_finds_itself_in_hand_made_lists(trained, world, kind, orientation):
    """Known and new photos are read by one rule; here both are stored on their side, and so is the
    copy on the page.
    """
    arguments, new = trained
    path, exif = world.folder / f'test/9/9.{kind}', Image.Exif()
    exif[0x112] = orientation
    with Image.open(world.folder / 'test/9/3.png') as image:
        image.save(path, exif=exif)
    with (world.folder / 'lists/gallery.txt').open('a') as file:
        file.write(f'9/9.{kind} 9\n')
    shutil.copy(path, new)
    first = next(row for row in main(arguments) if row['photo'] == str(new / f'9.{kind}'))
    assert (first['rank'], first['distance']) == (1, '0')
    assert os.path.samefile(first['known_photo'], path)


def test_photos_that_cannot_be_read_are_listed_with_the_reason(trained, world, capsys):
    arguments, new = trained
    (new / 'empty.jpg').touch()
    (new / 'cut.png').write_bytes((new / 'a.png').read_bytes()[:300])
    (new / 'i<phone.heic').write_bytes(b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf')
    Image.new('L', (500, 2)).save(new / 'long.png')
    rows = main(arguments)
    problems = {os.path.relpath(row['photo'], new): row for row in rows if row['problem']}
    assert set(problems) == {'empty.jpg', 'cut.png', 'i<phone.heic', 'long.png'}
    assert problems['empty.jpg'] == {
        'photo': str(new / 'empty.jpg'),
        'rank': '',
        'individual': '',
        'distance': '',
        'known_photo': '',
        'problem': 'the photo is an empty file',
    }
    assert len(rows) == 4 * 5 + 4
    assert (
        '4 of 8 photos cannot be read; the column problem of matches.csv says why'
        in capsys.readouterr().out
    )
    html = (world.output / 'matches/identify.html').read_text()
    assert '<li>skipped: 1 x the photo is an empty file</li>' in html
    assert html.count('class="unit"') == 4
    table = (world.output / 'matches/matches.csv').read_text()
    assert list(csv.DictReader(table.splitlines()))[-4:] == list(problems.values())


def test_thumbnails_and_deleted_photos_are_not_new(trained, world, capsys):
    arguments, new = trained
    (world.folder / 'only').mkdir()
    for name in ('@eaDir', '$RECYCLE.BIN', 'Originals'):
        (new / 'deep' / name).mkdir()
        shutil.copy(new / 'a.png', new / 'deep' / name / 'x.png')
    rows = main(arguments)
    assert {os.path.relpath(row['photo'], new) for row in rows} == {
        'a.png',
        'deep/er/b.PNG',
        'c <b>.png',
        'known.png',
    }
    assert (
        "1 x in a folder 'Originals', for example deep/Originals/x.png" in capsys.readouterr().out
    )
    (new / 'deep' / 'Originals').rename(world.folder / 'only' / 'Originals')
    with pytest.raises(
        InputError,
        match="no photo found .skipped: 1 x in a folder 'Originals', for example Originals/x.png",
    ):
        main(['--photos', str(world.folder / 'only'), *arguments[2:]])


def test_names_that_are_no_text(trained, world):
    """They are ranked all the same, and written escaped."""
    arguments, new = trained
    strange = os.fsdecode(b'caf\xe9')
    shutil.copy(new / 'known.png', new / f'{strange}.png')
    shutil.copy(new / 'known.png', new / 'two\nlines.png')
    (new / strange).write_text('no photo')
    rows = main(arguments)
    with open(world.output / 'matches/matches.csv', encoding='utf-8', newline='') as file:
        first = {row['photo']: row for row in csv.DictReader(file) if row['rank'] == '1'}
    for name in ('caf\\udce9.png', 'two\nlines.png'):
        assert first[str(new / name)]['individual'] == 'test 7'
    assert len(rows) == 6 * 5 and 'caf\\udce9.png' in (
        world.output / 'matches/identify.html'
    ).read_text(encoding='utf-8')


def test_without_test_lists_the_train_photos_are_known(trained):
    rows = main([*trained[0], 'DATASETS.QUERY_LIST', '', 'DATASETS.GALLERY_LIST', ''])
    assert {row['individual'].split()[0] for row in rows} == {'train'}


def test_refused(trained, world, tmp_path):
    arguments, new = trained
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty: no photo found'):
        main(['--photos', str(tmp_path / 'empty'), *arguments[2:]])
    with pytest.raises(InputError, match='the camera or side of a photo, which is unknown'):
        main([*arguments, 'MODEL.SIE_CAMERA', 'True'])
    with pytest.raises(ConfigError, match='unknown key'):
        main([*arguments, 'TEST.WEIGTH', 'x'])
    (world.folder / 'lists/photos.csv').write_text('a,b\n1,2\n')
    with pytest.raises(
        InputError, match='photos.csv: not a photos.csv written by tools/make_lists.py'
    ):
        main(arguments)
    (world.folder / 'lists/photos.csv').unlink()
    (new / 'a.png').write_bytes(b'rubbish')
    with pytest.raises(
        InputError,
        match='a.png: none of the 1 photos can be read; .* not a picture in a supported format',
    ):
        main(['--photos', str(new / 'a.png'), *arguments[2:]])
    (world.folder / 'test/7/1.png').write_bytes(b'rubbish')
    with pytest.raises(InputError, match='7/1.png: not a picture .* set DATASETS.SKIP_BROKEN True'):
        main(arguments)
    assert not [
        *(world.output / 'matches').glob('*.*v'),
        *(world.output / 'matches').glob('*.html'),
    ]
