"""wildlife/lists/folder_source.py, by whole runs of make_lists and by its functions."""

from datasets.protocols import PROTOCOLS
from tests.wildlife.lists.samples import fails, lists, run, save, write_folder


def test_a_folder_for_each_individual(tmp_path, capsys):
    source = write_folder(tmp_path / 'species')
    (source / 'a00' / 'notes.txt').write_text('seen at dusk')
    facts = run(source, tmp_path / 'out')
    made = lists(tmp_path / 'out')
    assert facts['source']['photos'] == 32 and facts['source']['individuals'] == 8
    assert facts['left_out'] == {"not a photo ('.txt')": 1}
    assert {name: len(split) for name, split in made.items()} == {
        'train': 22,
        'val': 2,
        'query': 8,
        'gallery': 8,
    }
    assert made['query'] == made['gallery']
    for split, names in (('train', 'train'), ('val', 'train'), ('query', 'test')):
        for record in made[split]:
            assert facts['labels'][names][record.pid] == record.path.split('/')[0]
            assert record.side is None and record.encounter is None
    assert {record.pid for record in made['train']} == set(range(6))
    assert {record.pid for record in made['query']} == {0, 1}
    assert not set(facts['labels']['train']) & set(facts['labels']['test'])
    assert facts['protocol']['test'] == 'all'
    assert any('no known encounter' in note for note in facts['notes'])
    printed = capsys.readouterr().out
    assert (
        'train' in printed
        and PROTOCOLS['all'].text in printed
        and 'python train_clipreid.py --config_file' in printed
    )


def test_folders_of_splits_years_and_levels(tmp_path):
    for split, start in (('train', 0), ('test', 5)):
        write_folder(tmp_path / 'a' / split, 5)
        for folder in sorted((tmp_path / 'a' / split).iterdir()):
            folder.rename(folder.with_name(f'i{start + int(folder.name[1:])}'))
    facts = run(tmp_path / 'a', tmp_path / 'out', '--protocol', 'given')
    assert facts['source']['columns'] == {
        'identity': 'folder that contains the photo',
        'split': 'folder',
    }
    assert set(facts['labels']['test']) == {f'i{number}' for number in range(5, 10)}
    assert facts['splits']['query']['photos'] == 20

    for year in (2020, 2021):
        for individual in range(6):
            save(tmp_path / 'b' / f'i{individual}' / str(year) / 'x.png')
    message = fails(tmp_path / 'b', tmp_path / 'out2')
    assert 'years (2020, 2021)' in message and '--identity-level 1' in message
    assert (
        run(tmp_path / 'b', tmp_path / 'out2', '--identity-level', 1)['source']['individuals'] == 6
    )

    for name, kind, below in (
        ('d', 'dates', ('2020-05-01', '20200602')),
        ('e', 'sides', ('left', 'Right')),
    ):
        for individual in range(6):
            for folder in below:
                save(tmp_path / name / f'i{individual}' / folder / 'x.png')
        message = fails(tmp_path / name, tmp_path / 'none')
        assert f'individuals look like {kind} (' in message and '--identity-level 1' in message
    for individual in range(6):
        for camera in range(3):
            save(tmp_path / 'f' / f'i{individual}' / f'c{camera}' / 'x.png')
            save(
                tmp_path / 'g' / f'201{camera}' / f'i{individual}' / 'x.png'
            )  # below years they may recur
    message = fails(tmp_path / 'f', tmp_path / 'none')
    assert '3 of the 3 folder names' in message and "'c0' in i0, i1, i2" in message
    assert '--identity-level 1 gives 6 individuals (i0, i1, i2 …)' in message
    assert '--identity-level -1 gives 3 individuals (c0, c1, c2)' in message
    assert (
        run(
            tmp_path / 'f',
            tmp_path / 'level1',
            '--identity-level',
            1,
            '--name-pattern',
            '/(?P<camera>c[0-9])/',
        )['source']['individuals']
        == 6
    )
    assert (
        run(tmp_path / 'f', tmp_path / 'last', '--identity-level', -1, '--protocol', 'closed')[
            'source'
        ]['individuals']
        == 3
    )
    assert run(tmp_path / 'g', tmp_path / 'years')['source']['individuals'] == 6

    for individual in range(5):
        for number in range(3):
            save(tmp_path / 'c' / f'{individual:04d}_c1_{number}.png')
    assert 'none is in the folder of an individual' in fails(tmp_path / 'c', tmp_path / 'out3')
    facts = run(
        tmp_path / 'c', tmp_path / 'out3', '--name-pattern', r'(?P<identity>\d+)_c(?P<camera>\d+)'
    )
    assert facts['source']['individuals'] == 5 and facts['splits']['train']['cameras'] == 1


MADE_BY_PROGRAMS = (
    '@eaDir',
    '#recycle',
    '#snapshot',
    '@Recycle',
    '.thumbnails',
    'Thumbnails',
    'ORIGINALS',
    '$RECYCLE.BIN',
    'System Volume Information',
    '__MACOSX',
    'lost+found',
    '.Trash-1000',
)


def test_folders_and_files_that_nobody_made_are_no_individuals(tmp_path):
    source = write_folder(tmp_path / 's')
    expected = run(source, tmp_path / 'clean')
    for number, name in enumerate(MADE_BY_PROGRAMS):
        save(source / name / 'a' / f'{number}.png', colour=(number, 9, 9))
        save(source / 'a00' / name / '0.png' / 'small.png', colour=(number, 8, 8))
        (source / name / 'index.db').write_text('')
    (source / 'a01' / '._0.png').write_bytes(b'\0\5\x16\7')
    facts = run(source, tmp_path / 'out')
    assert facts['labels'] == expected['labels'] and lists(tmp_path / 'out') == lists(
        tmp_path / 'clean'
    )
    assert facts['left_out'] == {f"in a folder '{name}'": 2 for name in MADE_BY_PROGRAMS} | {
        'hidden file': 1
    }
    note = next(note for note in facts['notes'] if note.startswith('skipped: 24 photos in folders'))
    assert "'@eaDir' 2" in note and 'rename such a folder' in note
    assert not any('contained only' in note for note in facts['notes'])


def test_a_folder_whose_photos_are_all_skipped_is_named(tmp_path):
    source = write_folder(tmp_path / 's')
    (source / 'a03').rename(source / 'originals')
    (source / 'a03').mkdir()
    (source / 'originals').rename(source / 'a03' / 'originals')
    facts = run(source, tmp_path / 'out')
    assert (
        facts['left_out'] == {"in a folder 'originals'": 4} and facts['source']['individuals'] == 7
    )
    assert '1 folder contained only skipped photos: a03' in facts['notes']
    message = fails(source / 'a03', tmp_path / 'none')
    assert (
        'all 4 photos are in folders' in message
        and "('originals' 4)" in message
        and 'give its path as the source' in message
    )
