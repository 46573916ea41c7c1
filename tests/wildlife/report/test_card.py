"""Cards: what a training and its tests write beside the checkpoints, and what can go wrong."""

import csv
import errno
import hashlib
import json
import multiprocessing
import os
import re
import shlex
import shutil
from types import SimpleNamespace

import pytest

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from tests.helpers import World, write_world
from tests.utils.failing_files import fails_with
from tools import rank_photos
from utils.errors import InputError
from wildlife.report import card as cards
from wildlife.report.card import add_to_card, read_card, render_card, write_training_card

NO_PAGE = ('TEST.REPORT', 'False')  # report.html is not looked at here


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(folder):
    return json.loads((folder / 'card.json').read_text())


@pytest.fixture(scope='module')
def trained(tmp_path_factory, toy_weights):
    """A world with a training and the test of its last checkpoint."""
    world = World(tmp_path_factory.mktemp('trained'), toy_weights)
    write_world(world.folder, test=12)
    train_clipreid.main(world.args('TEST.BOOTSTRAP', 100))
    world.card_of_training = read(world.output)
    world.metrics = test_clipreid.main(
        world.args('TEST.WEIGHT', world.output / 'RN50_2.pth', 'TEST.BOOTSTRAP', 100, *NO_PAGE)
    )
    return world


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the folder of that run, whose results name the checkpoint in it."""
    folder = shutil.copytree(trained.output, tmp_path / 'run')
    results = json.loads((folder / 'results.json').read_text())
    results['checkpoint'] = str(folder / 'RN50_2.pth')
    (folder / 'results.json').write_text(json.dumps(results))
    return folder


def test_the_card_of_a_training(trained):
    card, events = trained.card_of_training, trained.output / 'metrics.jsonl'
    assert card['tests'] == []
    assert card['data']['train'].items() >= {'photos': 24, 'individuals': 6}.items()
    assert card['data']['val'].items() >= {'photos': 6, 'individuals': 6}.items()
    fingerprints = json.loads((trained.output / 'run.json').read_text())['data']
    assert {n: d['sha256'] for n, d in card['data'].items()} == {
        n: d['sha256'] for n, d in fingerprints.items()
    }
    assert card['start']['kind'] == 'file' and card['start']['path'] == trained.weights['RN50']
    with open(trained.weights['RN50'], 'rb') as file:
        assert card['start']['sha256'] == hashlib.file_digest(file, 'sha256').hexdigest()
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    scores = {e['epoch']: e['mAP'] for e in lines if e['event'] == 'validation'}
    best = min(scores, key=lambda epoch: (-scores[epoch], epoch))
    expected = [
        ('RN50_stage1_2.pth', 1, 2, None),
        ('RN50_2.pth', 2, 2, scores[2]),
        ('RN50_best.pth', 2, best, scores[best]),
    ]
    keys = ('file', 'stage', 'epoch', 'validation_mAP', 'sha256')
    found = [tuple(each[key] for key in keys) for each in card['checkpoints']]
    assert sorted(found) == sorted((*row, sha256(trained.output / row[0])) for row in expected)
    assert all(each['this_run'] for each in card['checkpoints'])


def test_a_test_adds_its_metrics(trained):
    card = read(trained.output)
    results = json.loads((trained.output / 'results.json').read_text())
    (test,) = card['tests']
    assert test['checkpoint_sha256'] == sha256(trained.output / 'RN50_2.pth')
    assert test['metrics'] == trained.metrics == results['metrics']
    assert test['measures'] == results['measures'] and test['measures']['intervals']['mAP']
    assert test['counts']['query'] == {'photos': 12, 'individuals': 12}
    assert test['cameras'] is None
    kept = {name: value for name, value in card.items() if name in ('model', 'start', 'data')}
    assert kept.items() <= trained.card_of_training.items()


def test_the_text_shows_the_numbers(trained):
    text = (trained.output / 'card.md').read_text()
    card = read(trained.output)
    assert text == render_card(card)
    low, high = card['tests'][0]['measures']['intervals']['mAP']
    row = f'| mAP | {trained.metrics["mAP"]:.1%} | {100 * low:.1f} – {high:.1%} |'
    assert row.replace('%', ' %') in text
    for part in ('95 % interval', '12 query individuals', 'no query photo is in the gallery'):
        assert part in text
    for heading in ('Model', 'Start', 'Training', 'Checkpoints', 'Tests', 'How to use', 'Limits'):
        assert f'\n## {heading}\n' in text
    assert 'Not known here' in text and 'licence of the photos is not known' in text
    check_tables(text)


def check_tables(text):
    """Every row of a table has as many cells as its head, and no table ends early."""
    tables = [block.splitlines() for block in text.split('\n\n') if block.startswith('|')]
    assert len(tables) >= 4
    for lines in tables:
        assert {len(re.findall(r'(?<!\\)\|', line)) for line in lines} == {lines[1].count('|')}
        assert all(line.startswith('|') and line.endswith('|') for line in lines)


def test_the_commands_work(trained, tmp_path):
    card = read(trained.output)
    best = max(card['checkpoints'][1:], key=lambda each: each['validation_mAP'])['file']
    test, rank, further, resume = (shlex.split(each['command']) for each in card['use'])
    assert str(trained.output / best) in test and test[1] == 'test_clipreid.py'
    shutil.copytree(trained.output, tmp_path / 'kept')
    out = ['OUTPUT_DIR', str(tmp_path / 'again'), 'TEST.BOOTSTRAP', '0', *NO_PAGE]
    assert set(test_clipreid.main([*test[2:], *out])) == set(trained.metrics)
    rank[rank.index('NEW_PHOTOS')] = str(trained.folder / 'test/6')
    rows = rank_photos.main([*rank[3:], '--out', str(tmp_path / 'matches')])
    assert {row['rank'] for row in rows} == {1, 2, 3, 4, 5}
    places = {
        'NEW_LISTS': trained.folder / 'lists',
        'NEW_ROOT': trained.folder,
        'NEW_OUTPUT': tmp_path / 'further',
    }
    words = [str(places.get(word, word)) for word in further[2:]]
    train_clipreid.main([*words, 'SOLVER.STAGE1.MAX_EPOCHS', '0', 'SOLVER.STAGE2.MAX_EPOCHS', '1'])
    start = read(tmp_path / 'further')['start']
    assert start['kind'] == 'checkpoint' and start['sha256'] == sha256(trained.output / best)
    assert start['earlier'] == trained.card_of_training['start']
    assert train_clipreid.main(resume[2:]) is not None  # finished
    shutil.copytree(tmp_path / 'kept', trained.output, dirs_exist_ok=True)


def test_a_repeated_test_replaces_its_entry(trained, run):
    """The same test: equal checkpoint, protocol, photos, re-ranking and features."""
    facts = json.loads((run / 'results.json').read_text())
    settings = {'k1': 5, 'k2': 2, 'lambda_value': 0.3, 'ties': 'index'}
    other = {name: {**each, 'sha256': 64 * '0'} for name, each in facts['data'].items()}
    for change, count in (
        ({'git': 'again'}, 1),
        ({'re_ranking': settings}, 2),
        ({'config': facts['config'] | {'TEST.NECK_FEAT': 'after'}}, 3),
        ({'protocol': 'cross-encounter'}, 4),
        ({'data': other}, 5),
        ({'checkpoint_sha256': 64 * 'f'}, 6),
        ({'re_ranking': settings, 'git': 'again'}, 6),
    ):
        (run / 'results.json').write_text(json.dumps(facts | change))
        add_to_card(run)
        assert len(read(run)['tests']) == count
    first = next(test for test in read(run)['tests'] if not test['re_ranking'])
    assert first['git'] == 'again' and first['metrics'] == trained.metrics
    text = (run / 'card.md').read_text()
    assert 'does not compare photos of one encounter' in text
    assert "'query_apart' compares photos of one passage" in text
    assert text.count('this file is no longer here') == 1


def test_a_re_ranked_test_elsewhere(trained, run):
    weight = run / 'RN50_2.pth'
    more = ('OUTPUT_DIR', run / 'test', 'TEST.BOOTSTRAP', 0, *NO_PAGE)
    test_rerank_clipreid.main(trained.args('TEST.WEIGHT', weight, *more))
    plain, reranked = read(run)['tests']
    assert plain['re_ranking'] is None and reranked['re_ranking']['k1'] == 5
    assert 'No intervals: TEST.BOOTSTRAP is 0.' in (run / 'card.md').read_text()
    assert not (run / 'test/card.json').exists()


def test_an_older_run_without_a_card(run):
    (run / 'card.json').unlink()
    (run / 'card.md').unlink()
    add_to_card(run)
    card = read(run)
    assert card['training']['seed'] == 1234 and len(card['tests']) == 1
    assert card['data']['train']['photos'] == 24
    assert card['data']['train']['individuals'] is None
    assert re.search(r'\| train \| 24 \| unknown \|', (run / 'card.md').read_text())


def test_weights_of_others(run, tmp_path):
    """Of the original's weights nothing is known but what the test finds."""
    (tmp_path / 'theirs').mkdir()
    weight = shutil.copy(run / 'RN50_2.pth', tmp_path / 'theirs/original.pth')
    results = json.loads((run / 'results.json').read_text()) | {'checkpoint': str(weight)}
    (run / 'results.json').write_text(json.dumps(results))
    (tmp_path / 'theirs/card.md').write_text('my own notes')
    add_to_card(run)
    card = read(tmp_path / 'theirs')
    assert card['start'] is card['training'] is card['data'] is None
    (checkpoint,) = card['checkpoints']
    assert (checkpoint['file'], checkpoint['stage']) == ('original.pth', None)
    assert str(weight) in card['use'][0]['command']
    text = (tmp_path / 'theirs/card.md').read_text()
    assert text.count('Unknown') == 3 and 'licence of the weights that the training' in text
    assert (tmp_path / 'theirs/card.1.md').read_text() == 'my own notes'
    check_tables(text)


def test_a_checkpoint_of_an_earlier_run_is_told_apart(run):
    old = run / 'RN50_1.pth'
    shutil.copy(run / 'RN50_2.pth', old)
    os.utime(old, (1e9, 1e9))
    add_to_card(run)
    ours = {each['file']: each['this_run'] for each in read(run)['checkpoints']}
    assert ours.pop('RN50_1.pth') is False and all(ours.values())
    assert '`RN50_1.pth` (older than this run)' in (run / 'card.md').read_text()


def test_a_replaced_checkpoint_is_said(run):
    (run / 'RN50_2.pth').write_bytes(b'other weights')
    add_to_card(run)
    assert 'this file is no longer here' in (run / 'card.md').read_text()


DAMAGED = [b'{', b'[]', b'[' * 100_000, b'{"format": 0}', b'{"format": 1}', b'\xff', b'']


@pytest.mark.parametrize('content', DAMAGED, ids=lambda content: str(content[:14]))
def test_a_damaged_card_is_kept(run, content, caplog):
    (run / 'card.json').write_bytes(content)
    add_to_card(run)
    assert (run / 'card.1.json').read_bytes() == content
    assert len(read(run)['tests']) == 1
    (warning,) = [r for r in caplog.records if r.levelname == 'WARNING']
    assert 'card.1.json' in warning.getMessage() and '\n' not in warning.getMessage()


@pytest.mark.parametrize('part', ['model', 'checkpoints', 'tests', 'training', 'limits'])
@pytest.mark.parametrize('value', [7, [7], {'name': 'x'}])
def test_a_card_with_a_damaged_part_is_kept(run, part, value):
    (run / 'card.json').write_text(json.dumps(read(run) | {part: value}))
    add_to_card(run)
    card = read(run)
    assert len(card['tests']) == 1 and card['model']['name'] == 'RN50'
    assert (run / 'card.1.json').exists() or card[part] != value


@pytest.mark.parametrize(
    'part, name, value',
    [
        ('checkpoints', 'file', []),
        ('tests', 'protocol', []),
        ('tests', 'counts', {}),
        ('tests', 'checkpoint', []),
    ],
)
def test_a_card_with_a_damaged_fact_is_kept(run, part, name, value, caplog):
    """The card can be read as text, but a new one cannot be made of it."""
    add_to_card(run)
    card = read(run)
    card[part][0][name] = value
    if part == 'tests':
        card[part][0]['checkpoint_sha256'] = 'of another checkpoint'
    (run / 'card.json').write_text(json.dumps(card))
    add_to_card(run)
    assert json.loads((run / 'card.1.json').read_text()) == card
    assert len(read(run)['tests']) == 1 and 'is damaged' in caplog.text


def test_a_checkpoint_that_cannot_be_read(run, caplog, monkeypatch):
    (run / 'RN50_stage1_90.pth').touch()
    before = (run / 'card.json').read_bytes()
    refuse = fails_with(errno.EACCES)
    monkeypatch.setattr('wildlife.report.checkpoints.sha256_file', refuse)
    add_to_card(run)
    assert (run / 'card.json').read_bytes() == before
    assert 'no card of the model was written: ' in caplog.text


def test_a_folder_that_cannot_be_written(run, trained, monkeypatch):
    def refuse(folder, *_):
        raise InputError(f'cannot write {folder}: Read-only file system')

    before = (run / 'card.json').read_bytes()
    monkeypatch.setattr(cards, 'waiting_lock', refuse)
    out = run.parent / 'elsewhere'
    args = trained.args('TEST.WEIGHT', run / 'RN50_2.pth', 'OUTPUT_DIR', out, *NO_PAGE)
    assert test_clipreid.main(args) == trained.metrics
    log = (out / 'test_log.txt').read_text().splitlines()
    (warning,) = [line for line in log if 'card' in line]
    assert f'cannot write {run}' in warning and 'WARNING' in warning
    assert (run / 'card.json').read_bytes() == before and (out / 'results.json').exists()


def test_a_full_disk_leaves_the_earlier_card(run, caplog, monkeypatch):
    before = [(run / name).read_bytes() for name in ('card.json', 'card.md')]
    monkeypatch.setattr('os.fsync', fails_with(errno.ENOSPC))
    add_to_card(run)
    assert [(run / name).read_bytes() for name in ('card.json', 'card.md')] == before
    assert 'No space left' in caplog.text and not list(run.glob('.*'))


def add_many(run, names):
    facts = json.loads((run / 'results.json').read_text())
    for name in names:
        folder = run.parent / name
        folder.mkdir()
        shutil.copy(run / 'queries.csv', folder)
        (folder / 'results.json').write_text(json.dumps(facts | {'protocol': name}))
        add_to_card(folder)


def test_tests_at_once_lose_nothing(run):
    context = multiprocessing.get_context('fork')
    names = [[f'{process}-{number}' for number in range(4)] for process in range(3)]
    processes = [context.Process(target=add_many, args=(run, some)) for some in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = {test['protocol'] for test in read(run)['tests']}
    assert found == {'query_apart', *sum(names, [])}
    assert (run / 'card.md').read_text() == render_card(read(run)) and not list(run.glob('.*'))


def test_a_new_run_keeps_the_card_of_the_earlier_one(world):
    args = world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 0)
    train_clipreid.main(args)
    first = read(world.output)
    train_clipreid.main([*args, 'SOLVER.SEED', '7'])
    assert json.loads((world.output / 'card.1.json').read_text()) == first
    assert read(world.output)['training']['seed'] == 7
    assert (world.output / 'card.1.md').exists()


def test_only_the_main_process_writes(tmp_path):
    write_training_card(SimpleNamespace(main=False, folder=tmp_path), None)
    assert not list(tmp_path.iterdir())


def test_names_that_would_break_a_table(run):
    card = read(run)
    card['model']['for'] = 'a | b <script> `x` *y*\n# z'
    card['model']['sentence'] = 'a | b `c` X X X X'
    card['start']['path'] = '/photos/`|`.pth'
    card['tests'][0]['protocol_text'] = '</table> | [link](x)'
    text = render_card(card)
    check_tables(text)
    assert not re.search(r'(?<!\\)<script>|(?<!\\)</table>|\n# z|(?<!\\)\[link', text)


def test_no_card_is_none(tmp_path):
    assert read_card(tmp_path) is None


def test_cameras_and_encounters_are_counted(run):
    with open(run / 'queries.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row |= {'camera': number % 3, 'encounter': number}
    with open(run / 'queries.csv', 'w', newline='') as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    add_to_card(run)
    (test,) = read(run)['tests']
    assert (test['cameras'], test['encounters']) == (3, 12)
    assert 'the queries are from 3 cameras' in (run / 'card.md').read_text()
