"""wildlife/lists/name_pattern.py, by whole runs of make_lists and by its functions."""

from tests.wildlife.lists.samples import fails, run, table_rows, write_csv


def test_name_pattern_reads_facts_and_contradicts_the_table(tmp_path):
    rows = [
        {'identity': row['identity'], 'path': row['path'], 'orientation': row['side']}
        for row in table_rows(tmp_path)
    ]
    table = write_csv(tmp_path / 'm.csv', rows)
    pattern = r'/(?P<encounter>\d+_\d+)_'
    facts = run(table, tmp_path / 'out', '--name-pattern', pattern)
    assert facts['source']['columns']['encounter'] == '--name-pattern'
    assert (
        facts['protocol']['test'] == 'cross-encounter'
        and facts['splits']['query']['encounters'] == 6
    )
    rows[3]['orientation'] = 'left'
    for number, row in enumerate(rows):
        new = row['path'].replace('.png', ('_left.png', '_right.png')[number % 2])
        (tmp_path / row['path']).rename(tmp_path / new)
        row['path'] = new
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out2', '--name-pattern', '(?P<side>left|right)')
    assert 'm.csv:5' in message and '--column side=' in message
    run(table, tmp_path / 'out2', '--name-pattern', '(?P<side>left|right)', '--column', 'side=')
    assert 'not a regular expression' in fails(
        table, tmp_path / 'out3', '--name-pattern', '(?P<side>'
    )
    assert 'needs named groups' in fails(
        table, tmp_path / 'out3', '--name-pattern', '(?P<weather>x)'
    )
    assert 'matches none of the' in fails(
        table, tmp_path / 'out3', '--name-pattern', '(?P<side>dorsal)'
    )
