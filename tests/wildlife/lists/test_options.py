"""wildlife/lists/options.py, by whole runs of make_lists and by its functions."""

from tests.wildlife.lists.samples import fails, table_rows, write_csv, write_folder


def test_sources_and_options_that_cannot_be(tmp_path):
    source = write_folder(tmp_path / 's')
    for options, said in (
        (['--test-share', 0], '--test-share 0 leaves nothing for the test'),
        (['--test-share', 1, '--protocol', 'closed'], 'only --protocol disjoint and open can do'),
        (['--test-share', 1, '--protocol', 'given'], '--test-share 1'),
        (['--test-share', 1, '--split-date', '2023-01-31'], '--test-share 1'),
        (['--test-share', 1.1], '--test-share 1.1 must be between 0 and 1'),
        (['--val-share', 0.9], '--val-share'),
        (['--margin', 'nan'], '--margin'),
        (['--identity-level', 0], '--identity-level'),
        (['--column', 'who=x'], "--column 'who=x'"),
        (['--column', 'identity=x'], 'need a table'),
        (['--name', '../x'], '--name'),
        (['--min-photos', 9], 'no photo is left'),
    ):
        assert said in fails(source, tmp_path / 'out', *options)
    assert 'this file or folder does not exist' in fails(tmp_path / 'nothing', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    assert 'there are no photos' in fails(tmp_path / 'empty', tmp_path / 'out')
    assert 'is a file' in fails(source, source / 'a00' / '0.png')
    table = write_csv(tmp_path / 'm.csv', table_rows(tmp_path))
    assert 'has no such column' in fails(table, tmp_path / 'out', '--column', 'identity=Name')
    assert 'has no species column' in fails(table, tmp_path / 'out', '--species', 'cat')
    assert 'this folder does not exist' in fails(
        table, tmp_path / 'out', '--photos', tmp_path / 'nowhere'
    )
    assert not (tmp_path / 'out').exists()
