"""wildlife/lists/encounters.py, by whole runs of make_lists and by its functions."""

from collections import defaultdict
from datetime import datetime

from wildlife.lists.encounters import make_photos
from wildlife.lists.sightings import Sighting


def test_days_and_minutes_of_a_camera(tmp_path):
    def keys(minutes=0.0, **more):
        seen = (
            ('a', 'x', '2020-01-01T10:00'),
            ('b', 'x', '2020-01-01T10:20'),
            ('a', 'y', '2020-01-01T10:00'),
            ('a', 'x', '2020-01-01T11:30'),
            ('a', 'x', '2020-01-02T00:10'),
            ('c', '', '2020-01-01T10:00'),
            ('d', '', '2020-01-01T10:00'),
        )
        sightings = [
            Sighting(f'{number}', '', name, camera=camera, date=datetime.fromisoformat(date))
            for number, (name, camera, date) in enumerate(seen)
        ]
        photos = make_photos(
            sightings, [sighting.path for sighting in sightings], minutes=minutes, **more
        )
        groups = defaultdict(list)
        for photo in photos:
            groups[photo.encounter].append(int(photo.path))
        return sorted(groups.values())

    assert keys() == [[0, 1, 3], [2], [4], [5], [6]]
    assert keys(30) == [[0, 1], [2], [3], [4], [5], [6]]
    assert keys(24 * 60) == [[0, 1, 3, 4], [2], [5], [6]]
    assert keys(encounters='own') == [[0, 3], [1], [2], [4], [5], [6]]


def test_a_night_is_one_encounter():
    def keys(*moments, minutes=0.0):
        sightings = [
            Sighting(
                f'{number}', '', 'a', camera='x', date=datetime.fromisoformat(f'2020-01-{moment}')
            )
            for number, moment in enumerate(moments)
        ]
        return [
            int(photo.encounter[-1])
            for photo in make_photos(
                sightings, [sighting.path for sighting in sightings], minutes=minutes
            )
        ]

    assert (
        keys('01T23:59:59', '02T00:00:01', '02T00:59', '02T23:30', '03T00:29', '03T01:29')
        == [1] * 6
    )
    assert keys('01T23:00', '02T00:00', '02T08:00') == [1, 2, 2]
    assert keys('01T23:59:59', '02T00:00:01', '02T00:59', minutes=30) == [1, 1, 2]
    assert keys('01', '02', '03') == [1, 2, 3]  # days without a time


def test_two_animals_on_one_photo_are_of_one_encounter():
    sightings = [
        Sighting('p', '', 'a', date=datetime(2020, 1, 1)),
        Sighting('p', '', 'b', date=datetime(2020, 1, 1)),
        Sighting('q', '', 'b', date=datetime(2020, 1, 1)),
        Sighting('r', '', 'c'),
    ]
    photos = make_photos(sightings, 'abcd')
    assert len({photo.encounter for photo in photos[:3]}) == 1 and photos[3].encounter is None
