"""Small catalogues that are exported, in memory and on the disk, and readers of what is written."""

import csv
from dataclasses import dataclass, field, replace
from datetime import datetime

from wildlife.catalogue.create import create_catalogue
from wildlife.catalogue.journal import Author
from wildlife.catalogue.queries import box_text
from wildlife.catalogue.records import Decision, Individual, Photo
from wildlife.catalogue.schema import aliases, decisions, individuals, photos
from wildlife.exports.export import export
from wildlife.exports.job import Options
from wildlife.exports.places import Place
from wildlife.exports.sightings import read_records

SPECIES = 'Tragelaphus angasii'
ANNA = Author('anna', 'tools.identify')
SEXES = {'Nala': 'female', "Zuri d'Or, jr": 'male', 'Ñandú': '', '虎': ''}
PLACES = {
    'cam 1': Place('cam 1', -27.85, 32.47, None, None, datetime(2023, 5, 1), datetime(2023, 5, 20)),
    'cam_2': Place('cam_2', -27.86, 32.48, None, None, datetime(2023, 5, 3), datetime(2023, 5, 31)),
    'cam,3': Place('cam,3', -27.87, 32.49, None, None, datetime(2023, 5, 1), datetime(2023, 5, 2)),
}
# individual, camera, day of May 2023 (0 = unknown), encounter, further values of the photo
ROWS = [
    ('Nala', 'cam 1', 1, 'e1', {'side': 0, 'box': (0.1, 0.2, 0.5, 0.4)}),
    ('Nala', 'cam 1', 1, 'e1', {'side': 1}),
    ('Nala', 'cam_2', 9, 'e2', {'side': 0, 'box': (-0.02, 0.5, 0.4, 0.6)}),
    ("Zuri d'Or, jr", 'cam 1', 1, 'e1', {'box': (0.5, 0.1, 0.2, 0.2, 0.3)}),
    ("Zuri d'Or, jr", 'cam_2', 16, '', {}),
    ('Ñandú', 'cam 1', 16, '', {}),
    ('Ñandú', 'cam 1', 0, '', {}),
    ('虎', 'cam_2', 3, 'e3', {'place': 'the salt lick'}),
    ('虎', '', 4, '', {}),
    ('', 'cam_2', 3, 'e3', {'side': 1}),
    ('', 'cam_2', 4, '', {}),
]


@dataclass
class FakeCatalogue:
    """What the exports read of a catalogue, in memory."""

    photo_rows: list = field(default_factory=list)
    names: list = field(default_factory=list)
    said: list = field(default_factory=list)
    species: str = SPECIES

    def settings(self):
        return {'species': self.species}

    def individuals(self):
        return sorted(self.names, key=lambda one: one.name)

    def photos(self):
        return self.photo_rows

    def decisions(self):
        return self.said


def make_photo(number, day=1, individual='', individual_id=None, **more):
    """A photo of May 2023, at NUMBER minutes past noon; day 0 = unknown."""
    photo = Photo(
        id=number,
        path=f'/data/folder {number % 2}/IMG_{number // 2:04d}.JPG',
        sha256=f'{number:064x}',
        bytes=1000,
        box=None,
        side=None,
        camera='',
        date=datetime(2023, 5, day, 12, number) if day else None,
        encounter='',
        place='',
        individual_id=individual_id,
        individual=individual,
    )
    return replace(photo, **more)


def make_decision(number, photo, answer='known', **more):
    at = datetime(2023, 6, 1, 8, number)
    values = {'method': 'human', 'probability': None, 'note': '', 'by': 'anna', 'at': at}
    values |= {'id': number, 'photo_id': photo.id, 'answer': answer, 'said': photo.individual}
    values |= {'individual_id': photo.individual_id, 'program': 'tools.identify'}
    return Decision(**values | more)


def make_world(rows=ROWS, sexes=SEXES):
    """The catalogue of ROWS: four individuals, two animals without a name; one photo of nothing."""
    number_of = {name: number for number, name in enumerate(sexes, start=1)}
    shown = [
        make_photo(
            number, day, name, number_of.get(name), camera=camera, encounter=encounter, **more
        )
        for number, (name, camera, day, encounter, more) in enumerate(rows, start=1)
    ]
    shown.append(make_photo(len(rows) + 1, 5, camera='cam_2'))
    names = [
        Individual(
            number_of[name],
            name,
            ('old Nala',) if name == 'Nala' else (),
            sex,
            'torn ear' if name == 'Nala' else '',
            *(sum(photo.individual == name for photo in shown), 1, None, None),
        )
        for name, sex in sexes.items()
    ]
    said = [make_decision(n, photo) for n, photo in enumerate(shown, start=1) if photo.individual]
    said[0] = replace(said[0], method='machine', probability=0.97)
    said.append(make_decision(50, shown[-2], 'unsure', method='machine', probability=0.4))
    said.append(make_decision(51, shown[-1], 'none'))
    return FakeCatalogue(shown, names, said)


def export_world(tmp_path, name, catalogue=None, detector='', **options):
    """Export a catalogue, by default that of ROWS; return the folder and the lines."""
    records = read_records(catalogue or make_world(), detector)
    out = tmp_path / name
    return out, export(records, name, Options(**options), out)


def read_table(path):
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def write_places(path, places=PLACES):
    """A CSV of places."""
    with open(path, 'w', encoding='utf-8', newline='') as file:
        table = csv.writer(file)
        table.writerow(['Place', 'Latitude', 'Longitude', 'start', 'end'])
        for place in places.values():
            dates = [moment and f'{moment:%Y-%m-%d}' for moment in (place.start, place.end)]
            table.writerow([place.name, place.latitude, place.longitude, *dates])
    return path


def store(folder, fake):
    """Write a catalogue of the memory to the disk, without features."""
    catalogue = create_catalogue(folder, ANNA, fake.species, margin=0.05)
    with catalogue.writing(ANNA, 'fill') as change:
        rows = [{'id': n.id, 'name': n.name, 'sex': n.sex, 'notes': n.notes} for n in fake.names]
        change.insert(individuals, rows)
        others = [(alias, n.id) for n in fake.names for alias in n.aliases]
        change.insert(aliases, [{'alias': alias, 'individual_id': id} for alias, id in others])
        change.insert(photos, [_photo_row(photo) for photo in fake.photo_rows])
        names = decisions.c.keys()
        change.insert(decisions, [{key: getattr(one, key) for key in names} for one in fake.said])
    return catalogue


def _photo_row(photo):
    names = photos.c.keys()
    return {key: getattr(photo, key) for key in names} | {'box': box_text(photo.box)}
