"""The command tools.open_set: lists, draws, calibrators, and bad input."""

import json

import numpy as np
import pytest

from tests.wildlife.identify.worlds import photos
from tools import open_set
from utils.errors import exit_code
from wildlife.identify.command_line import parse_open_set

FILES = {'open_set.json', 'open_set.html', 'reliability.png'}


@pytest.fixture
def set_up(tmp_path):
    """Lists of an open set, with features in a file; ``run(*words)`` runs the command."""
    features, records = photos(individuals=30, encounters=2, each=3, noise=0.7)
    lists = {'query': [], 'gallery': []}
    for record in records:
        (tmp_path / record.path).parent.mkdir(exist_ok=True)
        (tmp_path / record.path).write_bytes(record.path.encode())
        enrolled = record.pid < 15 and record.encounter % 100 == 0
        line = f'{record.path} {record.pid} - - {record.encounter}\n'
        lists['gallery' if enrolled else 'query'].append(line)
    for name, lines in lists.items():
        (tmp_path / f'{name}.txt').write_text(''.join(lines))
    paths, about = [record.path for record in records], json.dumps({'model_sha256': 'a' * 64})
    np.savez(tmp_path / 'f.npz', path=paths, features=features, about=about)
    np.savez(tmp_path / 'other.npz', path=paths, features=features)
    settings = {
        'DATASETS.NAMES': 'animals',
        'DATASETS.SPECIES': 'toy',
        'DATASETS.PROTOCOL': 'cross-encounter',
        'DATASETS.TEST_ROOT_DIR': str(tmp_path),
        'DATASETS.LIST_DIR': str(tmp_path),
        'DATASETS.QUERY_LIST': 'query.txt',
        'DATASETS.GALLERY_LIST': 'gallery.txt',
        'MODEL.DEVICE': 'cpu',
        'DATALOADER.NUM_WORKERS': '0',
        'TEST.BOOTSTRAP': '100',
        'OUTPUT_DIR': str(tmp_path / 'out'),
    }
    (tmp_path / 'a.yml').write_text('MODEL:\n  DEVICE: cpu\n')
    pairs = [word for pair in settings.items() for word in pair]

    def run(*words):
        start = ['--config_file', str(tmp_path / 'a.yml'), '--features', str(tmp_path / 'f.npz')]
        return open_set.main([*start, *pairs, *map(str, words)])

    return tmp_path, run


def test_lists(set_up, capsys):
    folder, run = set_up
    found = run()
    out = folder / 'out/open_set'
    assert {path.name for path in out.iterdir()} == FILES | {
        'open_set_answers.csv',
        'calibrator.json',
    }
    content = json.loads((out / 'open_set.json').read_text())
    assert content['measures']['AUROC']['value'] == found['AUROC'] > 0.95
    assert content['counts'] == {
        'known_queries': 45,
        'known_individuals': 15,
        'unknown_queries': 90,
        'unknown_individuals': 15,
    }
    assert content['catalogue'] == 15 and content['skipped'] == 0
    assert content['protocol_text'].endswith('a photo is never compared with itself')
    rows = (out / 'open_set_answers.csv').read_text().splitlines()
    assert len(rows) == 136 and rows[0].startswith('photo,photos,individual,in_catalogue,best')
    said = capsys.readouterr().out
    assert 'These weights tell new animals from known ones' in said
    assert (
        'Queries: 45 photos of 15 known individuals (the catalogue has 15) and 90 photos of' in said
    )
    assert f'Page: {out / "open_set.html"}' in said

    again = run('--calibrator', out / 'calibrator.json', '--out', folder / 'two')
    assert {path.name for path in (folder / 'two').iterdir()} == FILES | {'open_set_answers.csv'}
    assert again['AUROC'] == found['AUROC']  # similarities are the same
    assert again['right/Brier'] != found['right/Brier']

    run('--units', 'encounter', '--out', folder / 'encounters')
    rows = (folder / 'encounters/open_set_answers.csv').read_text().splitlines()[1:]
    assert len(rows) == 45 and all(row.split(',')[1] == '3' for row in rows)
    content = json.loads((folder / 'encounters/open_set.json').read_text())
    assert content['units'] == 'encounter' and content['counts']['known_queries'] == 15
    assert '15 encounters of 15 known individuals' in capsys.readouterr().out

    run('--features', folder / 'other.npz', '--out', folder / 'three')
    assert not (folder / 'three/calibrator.json').exists()  # of which model would it be?


def test_draws(set_up, capsys):
    folder, run = set_up
    found = run('--draws', 2, '--fit', 10, '--known', 10)
    out = folder / 'out/open_set'
    assert {path.name for path in out.iterdir()} == FILES
    content = json.loads((out / 'open_set.json').read_text())
    assert content['individuals'] == {'fit': [10, 10], 'known': [10, 10], 'unknown': [10, 10]}
    assert content['measures']['AUROC']['sd'] is not None and found['AUROC'] > 0.95
    said = capsys.readouterr().out
    assert 'Means over 2 draws from 30 individuals (180 photos): 10 to calibrate' in said
    page = (out / 'open_set.html').read_text()
    assert 'sd of draws' in page and '://' not in page.replace('http://www.w3.org', '')


def fails(run, capsys, *words):
    capsys.readouterr()
    assert exit_code(lambda: run(*words)) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    return error


def test_bad_input_is_one_line_and_writes_nothing(set_up, capsys):
    folder, run = set_up
    (folder / 'wrong.json').write_text('{"format": 2}')
    assert 'not a calibrator' in fails(run, capsys, '--calibrator', folder / 'wrong.json')
    assert 'too few for 29 to fit' in fails(run, capsys, '--draws', 3, '--fit', 29)
    assert '(at least 4, half' in fails(run, capsys, '--draws', 3, '--fit', 3)
    assert 'wrong.json' in fails(run, capsys, '--out', folder / 'wrong.json')
    query = folder / 'query.txt'
    lines = query.read_text().splitlines()
    known = [line for line in lines if int(line.split()[1]) < 15]
    query.write_text('\n'.join(known))
    message = fails(run, capsys)
    assert 'all 45 usable queries are of known ones' in message and '--protocol open' in message
    for name in ('query', 'gallery'):
        path = folder / f'{name}.txt'
        short = [line.split(' - ')[0] for line in path.read_text().splitlines()]
        path.write_text('\n'.join(short))
    for words in (['--draws', 3], ['--units', 'encounter']):
        message = fails(run, capsys, 'DATASETS.PROTOCOL', 'all', *words)
        assert f'{words[0]} {words[1]}'.removesuffix(' 3') + ' needs encounters' in message
    assert not (folder / 'out/open_set').exists()


@pytest.mark.parametrize('words', [['--draws', '3', '--calibrator', 'x'], ['--fit', '9']])
def test_options_that_contradict(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_open_set(['--config_file', 'a.yml', *words])
    assert stopped.value.code == 2
    assert '--draws' in capsys.readouterr().err


def test_the_features_of_a_model(world, capsys):
    """Starting weights, without training; the calibrator knows the model."""
    for name in ('query', 'gallery'):
        path = world.folder / f'lists/{name}.txt'
        lines = [line for line in path.read_text().splitlines()]
        if name == 'gallery':  # the first two individuals are enrolled
            lines = [line for line in lines if line.split()[1] in ('6', '7')]
        path.write_text('\n'.join(lines))
    out = world.folder / 'made'
    found = open_set.main(world.args('TEST.WEIGHT', 'start', '--out', out))
    assert found['AUROC'] is not None
    content = json.loads((out / 'calibrator.json').read_text())
    assert len(content['facts']['model_sha256']) == 64
    assert content['facts']['data']['gallery']
    other = world.args('TEST.WEIGHT', 'start', 'TEST.NECK_FEAT', 'after')
    message = fails(
        lambda *words: open_set.main([*other, *words]),
        capsys,
        '--calibrator',
        str(out / 'calibrator.json'),
    )
    assert "its neck_feat is 'before', here it is 'after'" in message
