"""wildlife/lists/write.py, by whole runs of make_lists and by its functions."""

import pytest

from tests.wildlife.lists.samples import STRANGE, fails, run, table_rows, write_csv, write_folder
from wildlife import prepare
from wildlife.lists import report as list_report


def test_what_is_unknown_to_the_end_of_a_line_is_not_written(tmp_path):
    rows = [{'identity': row['identity'], 'path': row['path']} for row in table_rows(tmp_path)]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert all(
        len(line.split()) == 2 for line in (tmp_path / 'out/train.txt').read_text().splitlines()
    )


@pytest.mark.parametrize('what', ['source', 'out', 'photos_out', 'photos'])
def test_folders_that_no_yml_can_name(tmp_path, what):
    folders = {
        name: tmp_path / (STRANGE if name == what else name)
        for name in ('source', 'out', 'photos_out', 'photos')
    }
    rows = table_rows(folders['photos'])
    options = ['--photos-out', folders['photos_out'], '--prepare', '--name', 'nyala']
    if what == 'photos':
        source, options = (
            write_csv(tmp_path / 'm.csv', rows),
            [*options, '--photos', folders['photos']],
        )
    else:
        source = write_folder(folders['source'])
    message = fails(source, folders['out'], *options)
    assert (
        "caf\\udce9'" in message
        and 'so the yml files cannot contain it; rename the folder' in message
    )
    assert not folders['out'].exists() and not folders['photos_out'].exists()


def test_an_earlier_run_is_replaced_only_by_force(tmp_path):
    source = write_folder(tmp_path / 's')
    run(source, tmp_path / 'out')
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    assert 'already contains train.txt' in fails(source, tmp_path / 'out')
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before
    run(source, tmp_path / 'out', '--force', '--val-share', 0)
    assert not (tmp_path / 'out' / 'val.txt').exists()
    assert {path.name for path in (tmp_path / 'out').iterdir()} == set(before) - {'val.txt'}


@pytest.mark.parametrize(
    ('module', 'step', 'options'),
    [
        (prepare, 'prepare_all', ('--prepare',)),
        (list_report, 'thumbnails', ()),
        (list_report, 'write_photos_csv', ()),
    ],
)
def test_stopped_in_the_middle_no_yml_is_left(tmp_path, monkeypatch, module, step, options):
    source = write_folder(tmp_path / 's')
    run(source, tmp_path / 'out')

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, stop)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / 'out', '--force', '--seed', 5, *options)
    assert not list((tmp_path / 'out').glob('*.yml')) and (tmp_path / 'out' / 'train.txt').exists()
