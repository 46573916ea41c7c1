"""wildlife/lists/camtrap.py, by whole runs of make_lists and by its functions."""

from PIL import Image

from tests.wildlife.lists.samples import fails, photo_rows, run, write_camtrap, write_csv


def test_camtrap_dp(tmp_path):
    write_camtrap(tmp_path)
    facts = run(tmp_path, tmp_path / 'out', '--margin', 0)
    assert (
        facts['source']['kind'] == 'Camtrap DP'
        and facts['source']['individuals'] == 8
        and facts['source']['photos'] == 48
    )
    assert facts['left_out'] == {
        "observationType 'human'": 1,
        'unidentified': 1,
        'event of several individuals, not clear which photo shows which': 2,
    }
    assert facts['protocol']['test'] == 'cross-encounter'
    rows = {row['source']: row for row in photo_rows(tmp_path / 'out') if row['listed']}
    assert len(rows) == 48
    assert {row['encounter'] for row in rows.values() if row['identity'] == 'i7'} == {
        rows[f'media/m7{visit}0.png']['encounter'] for visit in range(3)
    }
    with Image.open(tmp_path / 'out' / 'photos' / rows['media/m000.png']['listed']) as photo:
        assert photo.size == (20, 5)
    with Image.open(tmp_path / 'out' / 'photos' / rows['media/m700.png']['listed']) as photo:
        assert photo.size == (40, 20)  # an event tells no box


def test_camtrap_dp_that_cannot_be_read(tmp_path):
    media, observations = write_camtrap(tmp_path)
    write_csv(tmp_path / 'media.csv', [row | {'mediaID': 'm'} for row in media])
    assert "mediaID 'm' occurs twice" in fails(tmp_path, tmp_path / 'out')
    write_csv(tmp_path / 'media.csv', [{'mediaID': 'm'}])
    assert 'needs the columns deploymentID, timestamp, filePath, which are missing' in fails(
        tmp_path, tmp_path / 'out'
    )
    write_csv(tmp_path / 'media.csv', media)
    write_csv(tmp_path / 'observations.csv', [observations[0] | {'bboxHeight': ''}])
    assert 'some of bboxX, bboxY, bboxWidth, bboxHeight are empty' in fails(
        tmp_path, tmp_path / 'out'
    )
    write_csv(tmp_path / 'observations.csv', [observations[0] | {'mediaID': 'nobody'}])
    assert "media.csv has no mediaID 'nobody'" in fails(tmp_path, tmp_path / 'out')
    write_csv(
        tmp_path / 'media.csv',
        [row | {'timestamp': row['timestamp'].removesuffix('+02:00')} for row in media],
    )
    write_csv(tmp_path / 'observations.csv', observations)
    message = fails(tmp_path, tmp_path / 'out')
    assert (
        'some times have a time zone and others do not' in message
        and "media.csv:2: '2023-05-01T10:00:00'" in message
    )
    for row in observations:
        row |= {key: row[key].removesuffix('Z') for key in ('eventStart', 'eventEnd')}
    write_csv(tmp_path / 'observations.csv', observations)
    run(tmp_path, tmp_path / 'nowhere_zones')
    (tmp_path / 'media.csv').unlink()
    for source in (tmp_path / 'observations.csv', tmp_path):
        assert 'lacks media.csv; it needs media.csv and observations.csv' in fails(
            source, tmp_path / 'out'
        )
    (tmp_path / 'media.csv.gz').write_bytes(b'')
    for source in (tmp_path / 'media.csv.gz', tmp_path):
        assert 'unpack media.csv.gz' in fails(source, tmp_path / 'out')
    for name in ('observations.csv', 'media.csv.gz'):
        (tmp_path / name).unlink()
    (tmp_path / 'datapackage.json').write_text('{}')
    assert 'lacks media.csv and observations.csv' in fails(tmp_path, tmp_path / 'out')


def test_camtrap_events_of_more_than_one_animal_name_nobody(tmp_path):
    _, observations = write_camtrap(tmp_path)
    event = next(row for row in observations if row['eventID'] == 'e7.1')
    observations[:] = [
        row | {'count': 2 if row['eventID'] == 'e7.0' else 1} for row in observations
    ]
    observations.append(event | {'individualID': 'NA', 'count': 'NA'})
    write_csv(tmp_path / 'observations.csv', observations)
    facts = run(tmp_path, tmp_path / 'out')
    assert facts['source']['photos'] == 48 - 4
    assert (
        facts['left_out']['event of several individuals, not clear which photo shows which']
        == 2 + 2
    )
    assert facts['left_out']['unidentified'] == 1 + 1
