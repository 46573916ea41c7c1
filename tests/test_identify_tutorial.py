"""docs/identify.md as it is written: its commands, on drawn photos that are named as nyala's."""

import csv
import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from configs import load_cfg
from model.make_model_clipreid import make_model
from tests.helpers import ROOT, toy_config, write_photo
from utils.checkpoint import save_state
from wildlife.catalogue.store import open_catalogue

TUTORIAL = (ROOT / 'docs/identify.md').read_text(encoding='utf-8')
COMMANDS = re.findall(r'^```bash\n(.*?)\n```', TUTORIAL.replace('\\\n', ''), re.M | re.S)
INDIVIDUALS, TRAINED = 30, 6


def write_nyala(folder):
    """metadata.csv and images/<individual>/<sighting>_leftphoto.jpg, three sightings of each."""
    rows = []
    for individual in range(INDIVIDUALS):
        for sighting in range(3):
            for side in ('left', 'right'):
                number = individual * 3 + sighting
                path = f'images/{individual:03d}/{number}_{side}photo.png'
                write_photo(folder / path, individual, 2 * sighting + (side == 'right'))
                rows.append({'identity': f'{individual:03d}', 'path': path, 'orientation': side})
    with open(folder / 'metadata.csv', 'w', newline='') as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def write_model(project, data, weights):
    """The yml, the weights, and the config.yml beside them: trained on the first individuals."""
    values = toy_config(project, 'RN50', weights)
    lists, output = project / 'datalist/nyala', project / 'output/nyala/cnn'
    values['DATASETS'] |= {
        'ROOT_DIR': str(data.parent),
        'DATA_DIR': 'nyala',
        'LIST_DIR': str(lists),
        'VAL_LIST': '',
        'QUERY_LIST': '',
        'GALLERY_LIST': '',
    }
    lists.mkdir(parents=True)
    output.mkdir(parents=True)
    paths = sorted((data / 'images').glob('*/*.png'))
    trained = [path for path in paths if int(path.parent.name) < TRAINED]
    lines = [f'{path.relative_to(data)} {int(path.parent.name)}\n' for path in trained]
    (lists / 'train.txt').write_text(''.join(lines))
    for path in (lists / 'cnn_clipreid.yml', output / 'config.yml'):
        path.write_text(yaml.safe_dump(values))
    model = make_model(load_cfg(str(lists / 'cnn_clipreid.yml')), TRAINED)
    save_state(model.state_dict(), output / 'RN50_80.pth')


def call(command):
    """Run a command of the page in this process, if its tool is there."""
    python, option, tool, *words = shlex.split(command)
    assert (python, option) == ('python', '-m')
    if tool == 'tools.export_records' and importlib.util.find_spec(tool) is None:
        pytest.skip(f'{tool} is not there yet')
    return importlib.import_module(tool).main(words)


@pytest.fixture(scope='module')
def project(tmp_path_factory, toy_weights):
    folder = tmp_path_factory.mktemp('identify') / 'project'
    folder.mkdir()
    write_nyala(folder.parent / 'data/nyala')
    write_model(folder, folder.parent / 'data/nyala', toy_weights['RN50'])
    new = folder.parent / 'data/new_photos'
    for individual, number in ((40, 500), (7, 501), (8, 502)):  # the first one is new
        for side in ('left', 'right'):
            write_photo(new / f'{number}_{side}photo.png', individual, 6 + (side == 'right'))
    return folder


def test_every_command(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    create, add, calibrate, more, look, record, decide, named, export = COMMANDS
    for command in (create, add):
        call(command)
    capsys.readouterr()
    call(calibrate)
    said = capsys.readouterr().out
    assert f'144 photos of {INDIVIDUALS - TRAINED} individuals that the model was not' in said
    assert f'Not fitted on: {TRAINED} other individuals.' in said
    assert Path('nyala/calibration.png').read_bytes().startswith(b'\x89PNG')
    call(more)

    result = call(look)
    said = capsys.readouterr().out
    assert '6 animals of the catalogue in 3 units, compared with 180 photos of 30' in said
    assert 'Calibrated on ' in said and 'now it has 30.' in said
    assert [len(answer.photos) for answer in result.answers] == [2, 2, 2]
    for name in re.findall(r'`(\w+\.(?:html|json|csv))`', TUTORIAL):
        assert Path('answers', name).exists() or name in ('detections.json', 'named.csv')
    tree = json.loads(Path('answers/identify.json').read_text())
    rows = list(csv.DictReader(Path('answers/identify.csv').read_text().splitlines()))
    assert [row['number'] for row in rows] == [str(number) for number in range(181, 187)]
    assert [unit['decision'] for unit in tree['units'] for _ in range(2)] == [
        row['decision'] for row in rows
    ]
    assert sum(tree['counts'].values()) == 3

    call(record)
    catalogue = open_catalogue('nyala')
    noted = {each.photo_id: each for each in catalogue.decisions() if each.method == 'machine'}
    for row in rows:
        kept = noted[int(row['number'])]
        is_known = row['decision'] == 'known'
        assert (kept.answer == 'known') == is_known and kept.program == 'tools.identify'
        assert kept.said == (row['individual'] if is_known else '')
    assert catalogue.journal()[-1].action == 'decide on 6 photos'
    call(decide)
    assert {photo.individual for photo in catalogue.photos()[180:182]} == {'Zuri'}
    with open('named.csv', 'w', newline='') as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerow(rows[2] | {'individual': '007'})
        table.writerow(rows[4] | {'individual': 'Nala'})
    call('python -m tools.catalogue undo nyala')
    call('python -m tools.catalogue undo nyala 5')
    capsys.readouterr()
    call(named)
    assert (
        '2 already in the catalogue (0 got missing details, 2 got a name)'
        in capsys.readouterr().out
    )
    assert [catalogue.photos()[place].individual for place in (182, 184)] == ['007', 'Nala']
    call('python -m tools.catalogue verify nyala')
    call(export)
    sightings = list(csv.DictReader(Path('sightings/sightings.csv').read_text().splitlines()))
    assert len(sightings) == 186 and sightings[184]['individual'] == 'Nala'


def test_new_photos_that_are_not_in_the_catalogue(project, monkeypatch, capsys, tmp_path):
    """A photo and a folder; photos of the catalogue keep their names, and one is broken."""
    monkeypatch.chdir(project)
    if not Path('nyala').exists():
        call(COMMANDS[0])
        call(COMMANDS[1])
    identify = importlib.import_module('tools.identify').main
    photo = tmp_path / 'one.png'
    write_photo(photo, 9, 77)
    words = ['nyala', str(photo), '--out', str(tmp_path / 'a'), '--false-match-rate', '0.05']
    result = identify(words)
    assert [answer.photos for answer in result.answers] == [(0,)]
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == [
        *('candidates.csv', 'identify.csv', 'identify.html', 'identify.json')
    ]
    assert result.answers[0].candidates[0].similarity > 0.5
    folder = tmp_path / 'new'
    folder.mkdir()
    known = project.parent / 'data/nyala/images/004/12_leftphoto.png'
    (folder / 'copy.png').write_bytes(known.read_bytes())
    (folder / 'broken.png').write_bytes(known.read_bytes()[:90])
    capsys.readouterr()
    result = identify(['nyala', str(folder), '--out', str(tmp_path / 'a'), *words[4:]])
    assert 'skipped: 1 x broken photo' in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / 'a/identify.csv').read_text().splitlines()))
    assert [row['note'] for row in rows] == ['already in the catalogue as 004']
    assert (tmp_path / 'a/identify.1.csv').exists()
    shown = [result.gallery.photos[match.row] for match in result.answers[0].candidates[0].matches]
    assert str(known) not in {photo.path for photo in shown}  # not compared with itself
