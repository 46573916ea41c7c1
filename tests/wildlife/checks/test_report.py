"""The command, its page, its JSON, and a second check."""

import json
import re
from pathlib import Path

import pytest

from tests.wildlife.checks.herd import picture
from tools.check_data import program
from utils.errors import InputError
from wildlife.checks.photos import read_photo, reader


def test_a_report_needs_a_folder(herd):
    with pytest.raises(InputError, match='--out'):
        herd.check('OUTPUT_DIR', '')
    herd.check('--out', str(herd.folder / 'a/b'), 'OUTPUT_DIR', '')
    assert {path.name for path in (herd.folder / 'a/b').iterdir()} == {'check.html', 'check.json'}


@pytest.mark.parametrize(
    'words', [['--near', '65'], ['--near', 'x'], ['--tiny', '0'], ['--workers', '0']]
)
def test_options_out_of_range(herd, words, capsys):
    with pytest.raises(SystemExit, match='2'):
        herd.check(*words)
    assert 'is not a whole number from' in capsys.readouterr().err


def test_exit_codes(herd, capsys):
    assert program(['--config_file', herd.yml()]) == 0
    herd.add('train', 'train/animal1/0.jpg', 2)
    assert program(['--config_file', herd.yml()]) == 1
    assert program(['--config_file', herd.yml(), 'DATASETS.NO_SUCH', '1']) == 2
    herd.lists['train'].append('no label')
    assert program(['--config_file', herd.yml()]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert (
        len(errors) == 2
        and all(line.startswith('error: ') for line in errors)
        and 'train.txt:20' in errors[1]
    )


def test_as_a_program(herd, zygote):
    herd.add('train', 'train/animal1/0.jpg', 2)
    done = zygote.finish('-m', 'tools.check_data', '--config_file', herd.yml())
    assert done.returncode == 1 and not done.stderr
    assert re.search(r'^wrong +One photo under two labels: 1 photos', done.stdout, re.M)
    assert json.loads((herd.folder / 'out/check_data/check.json').read_text())['wrong'] == 1


def test_the_json_has_all_and_the_page_some(herd):
    for number in range(30):
        herd.add('train', f'train/animal0/gone{number}.jpg', 0)
        herd.add('train', f'train/animal1/small{number}.jpg', 1, picture(100 + number, (20, 20)))
    herd.check()
    report = json.loads((herd.folder / 'out/check_data/check.json').read_text())
    found = {finding['check']: finding for finding in report['findings']}
    assert (
        len(found['missing']['items']) == len(found['tiny']['items']) == 30
        and len(report['photos']) == 36 + 30
    )
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert page.count('… and 6 more; check.json lists all of them') == 2
    assert page.count('<img ') == 24 and 'small29' not in page


def test_the_page_stands_alone_and_escapes(herd, capsys):
    name = 'train/animal0/<script>alert("x")&amp;.jpg'
    herd.add('train', name, 0)
    herd.add('train', 'train/animal1/0.jpg', 2)
    herd.check()
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert '<script' not in page and '&lt;script&gt;alert(&#34;x&#34;)&amp;amp;.jpg' in page
    assert (
        not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', page) and 'url(' not in page
    )


def test_what_is_printed_holds_no_control_characters(herd, capsys):
    herd.add('train', 'train/animal0/link.jpg', 0)
    (herd.folder / 'a\x1b[31m').mkdir()
    picture(100).save(herd.folder / 'a\x1b[31m/x.jpg')
    (herd.folder / 'photos/train/animal0/link.jpg').symlink_to(herd.folder / 'a\x1b[31m/x.jpg')
    herd.check()
    out = capsys.readouterr().out
    assert '\x1b' not in out and 'a?[31m' in out


def test_a_second_check_reads_what_is_new(herd, monkeypatch):
    _, first = herd.check()
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo',
        lambda path: read.append(Path(path).name) or read_photo(path),
    )
    picture(100).save(herd.folder / 'photos/train/animal0/0.jpg')
    herd.add('train', 'train/animal0/new.jpg', 0, picture(101))
    _, second = herd.check()
    assert sorted(read) == ['0.jpg', 'new.jpg']
    both = {photo['path'] for photo in first['photos']}
    assert [photo for photo in second['photos'] if photo['path'] in both][1:] == first['photos'][1:]


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('photo_formats', lambda: ('JPEG', 'PNG', 'HEIF')),
        ('PIL.__version__', '99.0'),
        ('CODE', (__file__,)),
    ],
)
def test_another_reader_reads_all_again(herd, monkeypatch, name, value):
    """One without HEIC's library, another Pillow, or changed code."""
    herd.check()
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo', lambda path: read.append(path) or read_photo(path)
    )
    herd.check()
    assert not read
    monkeypatch.setattr(f'wildlife.checks.photos.{name}', value)
    herd.check()
    assert len(read) == 36


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{"photos": 1}', '{"photos": [{"path": "x"}]}', '{"photos": [[]]}', '\xff'],
)
def test_a_spoilt_earlier_report_is_left_alone(herd, content):
    folder = herd.folder / 'out/check_data'
    folder.mkdir(parents=True)
    content = content.replace('{', f'{{"reader": {json.dumps(reader())}, ', 1)
    (folder / 'check.json').write_bytes(content.encode('latin-1'))
    assert not herd.check()[0]


def test_an_unreadable_photo_is_tried_again(herd):
    path = herd.folder / 'photos/train/animal0/0.jpg'
    good = path.read_bytes()
    path.write_bytes(b'x')
    assert 'unreadable' in herd.check()[0]
    path.write_bytes(good)
    assert not herd.check()[0]
