"""Cards that are damaged, cannot be written, or are written by several tests at once."""

import csv
import errno
import json
import multiprocessing
import os
import re
import shutil
from types import SimpleNamespace

import pytest

import test_clipreid
import train_clipreid
from tests.utils.failing_files import fails_with
from tests.wildlife.report.card_files import NO_PAGE, check_tables, read
from utils.errors import InputError
from wildlife.report import card as cards
from wildlife.report.card import add_to_card, read_card, render_card, write_training_card


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


def test_cards_of_older_versions_are_read(run):
    """Their tests lack what was not there yet."""
    path = run / 'card.json'
    card = json.loads(path.read_text())
    for test in card['tests']:
        for name in ('whitening', 'precision', 'starting_weights'):
            del test[name]
    path.write_text(json.dumps(card))
    assert card['tests'] and read_card(path.parent) == card
    assert 'whitened' not in render_card(card)


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
