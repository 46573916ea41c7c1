"""wildlife/lists/select.py, by whole runs of make_lists and by its functions."""

from collections import defaultdict

from PIL import Image

from configs import load_cfg
from tests.wildlife.lists.samples import (
    fails,
    lists,
    photo_rows,
    run,
    save,
    table_rows,
    write_csv,
    write_folder,
)


def test_exif_dates_make_encounters(tmp_path):
    for individual in range(5):
        for number in range(4):
            exif = Image.Exif()
            exif[0x132] = '2024:01:01 00:00:00'  # when somebody saved it, which says nothing
            if individual < 4:
                exif.get_ifd(0x8769)[0x9003] = f'2022:0{1 + number // 2}:03 10:00:0{number}'
            save(tmp_path / 's' / f'i{individual}' / f'{number}.jpg', exif=exif)
    assert run(tmp_path / 's', tmp_path / 'out', '--no-exif-dates')['protocol']['test'] == 'all'
    facts = run(tmp_path / 's', tmp_path / 'out2')
    assert facts['source']['columns']['date'] == 'EXIF'
    assert any(
        note.startswith('date: read from the EXIF data of 16 photos') for note in facts['notes']
    )
    rows = photo_rows(tmp_path / 'out2')
    for fact in ('date', 'encounter'):
        assert {row['identity'] for row in rows if not row[fact]} == {'i4'}
    assert len({row['encounter'] for row in rows}) == 9


def test_sides_apart(tmp_path):
    rows = table_rows(tmp_path)
    rows[0]['side'] = ''
    table = write_csv(tmp_path / 'm.csv', rows)
    facts = run(table, tmp_path / 'out', '--sides', 'separate')
    names = facts['labels']['train'] + facts['labels']['test']
    assert len(names) == 16 and {name.rpartition(' ')[2] for name in names} == {'left', 'right'}
    animals = [
        {name.rpartition(' ')[0] for name in facts['labels'][split]} for split in ('train', 'test')
    ]
    assert not animals[0] & animals[1]
    assert facts['left_out'] == {'side unknown (--sides separate)': 1}
    assert any('16 flanks of 8 animals' in note for note in facts['notes'])
    assert any('2 of 8 animals are only in the test' in note for note in facts['notes'])
    message = fails(table, tmp_path / 'none', '--sides', 'separate', '--column', 'side=')
    assert (
        'none of 48 photos has a known side' in message
        and '--column side=' in message
        and '--name-pattern' in message
    )
    for split in lists(tmp_path / 'out').values():
        sides = defaultdict(set)
        for record in split:
            sides[record.pid].add(record.side)
        assert all(len(found) == 1 for found in sides.values())
    assert run(table, tmp_path / 'out2')['splits']['train']['side_unknown'] in (0, 1)


def test_too_few_individuals(tmp_path):
    assert '3 of 3 individuals have at least two photos' in fails(
        write_folder(tmp_path / 's', 3), tmp_path / 'out'
    )
    facts = run(tmp_path / 's', tmp_path / 'out', '--protocol', 'closed')
    assert facts['splits']['train']['individuals'] == 3
    cfg = load_cfg(tmp_path / 'out' / 'vit_clipreid.yml')
    assert cfg.SOLVER.STAGE2.IMS_PER_BATCH == 12
    assert cfg.TEST.RERANK_K1 == 11 and cfg.TEST.RERANK_K2 == 6
    message = fails(write_folder(tmp_path / 'one', 1), tmp_path / 'out2', '--protocol', 'closed')
    assert (
        "4 photos, all of one individual, 'a00' (read from folder that contains the photo)"
        in message
        and '--identity-level' in message
    )
    save(tmp_path / 's' / 'a00' / 'more.png')
    message = fails(tmp_path / 's', tmp_path / 'out2', '--min-photos', 5, '--protocol', 'closed')
    assert '1 individual would be left for training' in message and message.endswith(
        'add photos of more individuals'
    )  # than closed can give


def test_a_truncated_photo_is_found_before_anything_is_written(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.jpg', size=(100, 80))
        rows.append(
            {'path': f'{number}.jpg', 'identity': f'n{number // 3}', 'bbox': '[10, 10, 50, 50]'}
        )
    whole = (tmp_path / '4.jpg').read_bytes()
    (tmp_path / '4.jpg').write_bytes(whole[: -len(whole) // 8])
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert 'm.csv:6' in message and 'cannot be decoded' in message and '--skip-bad' in message
    assert not (tmp_path / 'out').exists()
    assert run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad')['left_out'] == {
        'broken photo': 1
    }
