"""secr: capture and trap file, read back by a small parser of secr's rules."""

import re
from dataclasses import replace
from datetime import datetime

import pytest

from tests.wildlife.exports.worlds import PLACES, ROWS, export_world, make_world, read_table
from utils.errors import InputError

NAME = '[^ \t,#\'"_]+'  # of a detector; in that of an animal secr allows '_' too


def fields(path):
    """Fields of the lines, without comments: ASCII, separated by single blanks."""
    text = path.read_text(encoding='utf-8')
    assert text.isascii()
    lines = [line.partition('#')[0] for line in text.splitlines()]
    return [line.split(' ') for line in lines if line]


def read_traps(path):
    """Detector -> (x, y, occasions in which it worked; () = all)."""
    rows = fields(path)
    assert len({row[0] for row in rows}) == len(rows) and len({len(row) for row in rows}) == 1
    assert all(re.fullmatch(NAME, row[0]) and {*row[3:]} <= {'0', '1'} for row in rows)
    return {row[0]: (float(row[1]), float(row[2]), tuple(map(int, row[3:]))) for row in rows}


def read_captures(path, traps):
    """{(animal, occasion, detector): sex}; a detector must exist and have worked."""
    found = {}
    for session, animal, occasion, detector, *sex in fields(path):
        assert session == '1' and re.fullmatch(NAME, animal) and animal != 'NONE'
        usage = traps[detector][2]
        assert not usage or usage[int(occasion) - 1] == 1
        assert (animal, occasion, detector) not in found
        assert not sex or sex[0] in ('female', 'male', 'NA')  # R takes F for FALSE
        found[animal, int(occasion), detector] = sex
    return found


def export_secr(tmp_path, catalogue=None, **options):
    return export_world(tmp_path, 'secr', catalogue, **{'places': PLACES} | options)


def test_captures_are_those_of_the_catalogue(tmp_path):
    folder, lines = export_secr(tmp_path)
    traps = read_traps(folder / 'detectors.txt')
    found = read_captures(folder / 'captures.txt', traps)
    rows = read_table(folder / 'identifiers.csv')
    plain = {row['name']: row['identifier'] for row in rows}
    expected = {
        (plain[name], day, plain[camera])
        for name, camera, day, *_ in ROWS
        if name and camera and day
    }
    assert found.keys() == expected
    assert found['Nala', 1, 'cam.1'] == ['female'] and found['Nandu', 16, 'cam.1'] == ['NA']
    assert '6 names changed to what secr accepts: see identifiers.csv' in lines
    assert '1 photo joined with an earlier one of the same animal, detector and occasion' in lines


def test_traps_without_captures_are_there_with_the_days_on_which_they_worked(tmp_path):
    folder, lines = export_secr(tmp_path)
    traps = read_traps(folder / 'detectors.txt')
    assert list(traps) == ['cam.1', 'cam.2', 'cam.3']
    assert traps['cam.3'][2] == (1, 1) + (0,) * 14
    assert traps['cam.2'][2] == (0, 0) + (1,) * 14
    # by pyproj, EPSG:32736
    assert traps['cam.1'][:2] == pytest.approx((447816.6589, 6919300.9638), abs=0.005)
    assert 'Coordinates: metres, UTM zone 36S (EPSG:32736)' in lines


def test_weeks(tmp_path):
    folder, _ = export_secr(tmp_path, occasions=['week'])
    traps = read_traps(folder / 'detectors.txt')
    assert traps['cam.3'][2] == (1, 0, 0)
    found = read_captures(folder / 'captures.txt', traps)
    assert {occasion for name, occasion, _ in found if name == 'Nala'} == {1, 2}


def test_without_periods_and_sexes(tmp_path):
    world = make_world()
    world.names = [replace(one, sex='') for one in world.names]
    places = {name: replace(place, start=None, end=None) for name, place in PLACES.items()}
    folder, lines = export_secr(tmp_path, world, places=places)
    traps = read_traps(folder / 'detectors.txt')
    assert all(usage == () for _, _, usage in traps.values())
    assert set(map(tuple, read_captures(folder / 'captures.txt', traps).values())) == {()}
    text = 'without start or end in --places: assumed to have worked all the time before or after'
    assert f'3 detectors {text}' in lines
    places['cam 1'] = PLACES['cam 1']
    assert f'2 detectors {text}' in export_secr(tmp_path / 'more', world, places=places)[1]
    places['cam 1'] = replace(PLACES['cam 1'], start=None)
    folder, lines = export_secr(tmp_path / 'end', world, places=places)
    assert f'3 detectors {text}' in lines
    assert read_traps(folder / 'detectors.txt')['cam.1'][2] == (1,) * 16


def test_a_grid_of_your_own(tmp_path):
    places = {
        name: replace(place, x=100.0 * number, y=5.0)
        for number, (name, place) in enumerate(PLACES.items())
    }
    folder, lines = export_secr(tmp_path, places=places)
    assert [trap[:2] for trap in read_traps(folder / 'detectors.txt').values()] == [
        (0, 5),
        (100, 5),
        (200, 5),
    ]
    assert 'Coordinates: metres, x and y of the table of places' in lines


def far_away():
    return PLACES | {'far': replace(PLACES['cam 1'], name='far', longitude=-3.2)}


@pytest.mark.parametrize(
    'places, message',
    [
        (None, 'needs the coordinates of each camera'),
        ({'cam 1': PLACES['cam 1']}, 'no row for 1 camera of the photos: cam_2'),
        (
            PLACES | {'cam 1': replace(PLACES['cam 1'], end=datetime(2023, 5, 15))},
            '1 photo taken on days when the detector did not work, such as',
        ),
        (PLACES | {'cam 1': replace(PLACES['cam 1'], latitude=None)}, "'cam 1' has no coordinates"),
        (far_away(), '36 degrees of longitude apart, too far for one grid'),
    ],
)
def test_what_secr_would_reject_is_rejected(tmp_path, places, message):
    with pytest.raises(InputError) as error:
        export_secr(tmp_path, places=places)
    assert message in str(error.value) and '\n' not in str(error.value)
    assert list(tmp_path.iterdir()) == []
