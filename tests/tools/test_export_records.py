"""The command tools.export_records, on a catalogue on the disk."""

import re
import shlex
import sys

import pytest

from tests.helpers import ROOT
from tests.wildlife.exports.worlds import make_world, read_table, store, write_places
from tools import export_records
from utils.errors import exit_code
from wildlife.catalogue.store import open_catalogue
from wildlife.exports.export import FORMATS
from wildlife.exports.sightings import read_records

NEEDED = {'camtrap-dp': ['--timezone', '+02:00']}


@pytest.fixture
def folder(tmp_path):
    store(tmp_path / 'nyala', make_world())
    write_places(tmp_path / 'places.csv')
    return tmp_path


def words_for(folder, name):
    words = [str(folder / 'nyala'), '--format', name, '--out', str(folder / name)]
    if 'places' in FORMATS[name].options:
        words += ['--places', str(folder / 'places.csv')]
    return words + NEEDED.get(name, [])


def test_the_catalogue_on_the_disk_is_the_one_in_memory(folder):
    with open_catalogue(folder / 'nyala') as catalogue:
        read = read_records(catalogue)
    expected = read_records(make_world())
    assert read.sightings[0].photo == expected.sightings[0].photo
    assert read.decisions == expected.decisions and read.species == expected.species
    names = [(one.name, one.sex, one.aliases, one.notes) for one in read.individuals]
    assert names == [(one.name, one.sex, one.aliases, one.notes) for one in expected.individuals]


@pytest.mark.parametrize('name', FORMATS)
def test_every_format(folder, name, capsys):
    out = export_records.main(words_for(folder, name))
    said = capsys.readouterr().out
    files = sorted(path.name for path in out.iterdir())
    assert said.splitlines()[-1] == f'{out}: {", ".join(files)}'
    assert files and all((out / file).stat().st_size for file in files)
    assert not list(folder.glob('.tmp-*'))


def test_the_commands_of_the_page_work(folder, monkeypatch):
    monkeypatch.chdir(folder)
    page = (ROOT / 'docs/exports.md').read_text(encoding='utf-8')
    commands = re.findall('^python -m tools.export_records (.*)$', page, re.M)
    for command in commands:
        words = shlex.split(command)
        assert export_records.main(words).is_dir()
    assert len(commands) == len(FORMATS)


def test_options_reach_the_format(folder, capsys):
    words = [str(folder / 'nyala'), '--format', 'camtrapr', '--out', str(folder / 'out')]
    out = export_records.main([*words, '--species', 'Panthera tigris', '--detector', 'place'])
    (row,) = read_table(out / 'records.csv')
    assert (row['Species'], row['Station']) == ('Panthera tigris', 'the salt lick')


@pytest.mark.parametrize(
    'words, message',
    [
        (['--format', 'secr'], 'needs the coordinates of each camera'),
        (['--format', 'camtrap-dp'], 'needs the time zone of the photos'),
        (['--format', 'mark', '--occasions', 'month'], "'month' is neither day nor week"),
        (['--format', 'secr', '--places', 'nowhere.csv'], 'nowhere.csv: this file does not exist'),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(folder, monkeypatch, capsys, words, message):
    argv = ['export_records', str(folder / 'nyala'), '--out', str(folder / 'out'), *words]
    monkeypatch.setattr(sys, 'argv', argv)
    assert exit_code(export_records.main) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1 and message in error
    assert not (folder / 'out').exists() and not list(folder.glob('.tmp-*'))


def test_no_catalogue(tmp_path, monkeypatch, capsys):
    argv = ['x', str(tmp_path / 'none'), '--format', 'csv', '--out', str(tmp_path / 'out')]
    monkeypatch.setattr(sys, 'argv', argv)
    assert exit_code(export_records.main) == 2
    assert 'there is no catalogue' in capsys.readouterr().err


def test_options_without_use_are_rejected(folder, capsys):
    with pytest.raises(SystemExit) as error:
        export_records.main([*words_for(folder, 'mark'), '--timezone', 'UTC'])
    assert error.value.code == 2
    assert '--timezone has no effect with --format mark' in capsys.readouterr().err
