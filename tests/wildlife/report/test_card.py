"""Cards: what a training and its tests write beside the checkpoints, and what can go wrong."""

import hashlib
import json
import re
import shlex
import shutil
from types import SimpleNamespace

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from tests.wildlife.report.card_files import NO_PAGE, check_tables, read, sha256
from tools import rank_photos
from wildlife.report import card as cards
from wildlife.report.card import add_to_card, render_card, write_training_card


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
    low, high = card['tests'][0]['measures']['intervals']['mINP']
    assert f'| {100 * low:.1f} – {100 * high:.1f} % |' in text
    for part in ('95 % interval', '12 query individuals', 'no query photo is in the gallery'):
        assert part in text
    for heading in ('Model', 'Start', 'Training', 'Checkpoints', 'Tests', 'How to use', 'Limits'):
        assert f'\n## {heading}\n' in text
    assert 'Not known here' in text and 'licence of the photos is not known' in text
    check_tables(text)


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


def test_a_resumed_training_keeps_the_tests(run, monkeypatch):
    before = read(run)
    monkeypatch.setattr(cards, 'data_facts', lambda _: before['data'])
    write_training_card(SimpleNamespace(main=True, folder=run), None)
    after = read(run)
    assert len(before['tests']) == 1
    # the commands name the folder, and this run is a copy
    assert after.pop('use') != before.pop('use')
    assert after == before
