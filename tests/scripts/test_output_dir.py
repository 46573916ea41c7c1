"""OUTPUT_DIR: run.json, and a folder in use."""

import json
import re

import pytest

import train_clipreid
from utils.errors import InputError
from utils.run.lock import output_lock


def test_run_json_describes_the_run(world):
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    run = json.loads((world.output / 'run.json').read_text())
    for library in ('torch', 'numpy', 'Pillow', 'safetensors'):
        assert re.match(r'\d+\.\d+', run[library])
    assert (
        run['config']['SOLVER.STAGE2.MAX_EPOCHS'] == 1 and run['processes'] == 1 and run['python']
    )
    assert {split: data['photos'] for split, data in run['data'].items()} == {'train': 24, 'val': 6}
    assert all(re.fullmatch('[0-9a-f]{64}', data['sha256']) for data in run['data'].values())


def test_two_trainings_in_one_folder(world):
    world.output.mkdir()
    with output_lock(world.output), pytest.raises(InputError, match='is in use by process'):
        train_clipreid.main(world.args())
    assert not list(world.output.iterdir())
