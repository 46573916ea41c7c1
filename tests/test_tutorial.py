"""docs/your_own_animals.md as it is written: its commands, on drawn photos that are named as the
tutorial's.
"""

import csv
import json
import os
import re
import shlex

import pytest

from tests.helpers import ROOT, write_photo

TUTORIAL = (ROOT / 'docs/your_own_animals.md').read_text(encoding='utf-8')
COMMANDS = re.findall(r'^```bash\n(.*?)\n```', TUTORIAL.replace('\\\n', ''), re.M | re.S)
SMALL = {
    'MODEL.DEVICE': 'cpu',
    'INPUT.SIZE_TRAIN': '[32,32]',
    'INPUT.SIZE_TEST': '[32,32]',
    'DATALOADER.NUM_WORKERS': '0',
    'SOLVER.STAGE1.MAX_EPOCHS': '2',  # stage 2 keeps its 80, which are in the names of files
    'SOLVER.STAGE2.CHECKPOINT_PERIOD': '40',
    'SOLVER.STAGE2.EVAL_PERIOD': '40',
    'SOLVER.RESUME_PERIOD': '40',
}


def write_nyala(folder, individuals=12, sightings=4):
    """metadata.csv and images/<individual>/<sighting>_leftphoto.jpg, … of every individual and
    sighting.
    """
    rows = []
    for individual in range(individuals):
        for sighting in range(sightings):
            for side in ('left', 'right'):
                name = (
                    f'images/{individual:03d}/{individual * sightings + sighting}_{side}photo.jpg'
                )
                write_photo(folder / name, individual, 2 * sighting + (side == 'right'))
                rows.append(
                    {
                        'image_id': len(rows),
                        'identity': f'{individual:03d}',
                        'path': name,
                        'orientation': side,
                    }
                )
    with open(folder / 'metadata.csv', 'w', newline='') as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def program_of(command):
    """(words after python that name the program, its arguments)"""
    python, first, *words = shlex.split(command)
    assert python == 'python'
    return (['-m', words[0]], words[1:]) if first == '-m' else ([str(ROOT / first)], words)


def run(zygote, command, folder, weights):
    """A command of the tutorial, typed in ``folder``; training and tests with a toy CLIP and small
    photos.
    """
    script, words = program_of(command)
    options = (
        {**SMALL, 'MODEL.PRETRAIN_PATH': weights}
        if re.search('clipreid.py|rank_photos', script[-1])
        else {}
    )
    options = [word for pair in options.items() for word in pair]
    done = zygote.finish(*script, *words, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_every_command(tmp_path, toy_weights, zygote):
    folder = tmp_path / 'project'
    folder.mkdir()
    write_nyala(tmp_path / 'data/nyala')
    write_photo(tmp_path / 'data/new_photos/IMG_1.jpg', 3, 77)
    told = {command: run(zygote, command, folder, toy_weights['RN50']) for command in COMMANDS}

    assert [os.path.basename(program_of(command)[0][-1]) for command in COMMANDS] == [
        'tools.make_lists',
        'tools.check_data',
        'train_clipreid.py',
        'test_clipreid.py',
        'test_clipreid.py',
        'test_rerank_clipreid.py',
        'tools.rank_photos',
    ]
    lists, output = folder / 'datalist/nyala', folder / 'output/nyala/cnn'
    for name in re.findall(
        r'`([\w/]+\.(?:yml|html|json|csv))`', TUTORIAL
    ):  # the files that the text speaks of
        assert any(
            (place / name).exists()
            for place in (lists, output, output / 'matches', folder, tmp_path / 'data/nyala')
        ) or name in ('media.csv', 'observations.csv'), name
    assert (
        'Protocol cross-encounter: ' in told[COMMANDS[3]] and 'Protocol all: ' in told[COMMANDS[4]]
    )
    rows = list(csv.DictReader((output / 'ranked_lists.csv').read_text().splitlines()))
    tested = {row['query'] for row in rows}
    assert len(tested) == len((lists / 'query.txt').read_text().splitlines())
    encounter = {row['query']: re.search(r'/(\d+)_', row['query'])[1] for row in rows}
    assert not [
        row for row in rows if re.search(r'/(\d+)_', row['photo'])[1] == encounter[row['query']]
    ]  # across encounters
    matches = list(csv.DictReader((output / 'matches/matches.csv').read_text().splitlines()))
    assert [row['rank'] for row in matches] == ['1', '2', '3', '4', '5']
    assert {row['individual'] for row in matches} <= {f'{n:03d}' for n in range(12)}
    assert json.loads((output / 'results.json').read_text())['re_ranking']
    assert json.loads((output / 'results.2.json').read_text())['protocol'] == 'all'
