"""The measures of a test: results.json and queries.csv against plain loops over whole rankings."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import test_clipreid
from configs import load_cfg
from model.make_model_clipreid import make_model
from processor import results
from tests.helpers import World, write_photo, write_world
from utils.checkpoint import save_state

DRAWS = 100


@pytest.fixture(scope='module')
def untrained(tmp_path_factory, toy_weights):
    """A world with 12 test individuals and a model that was not trained."""
    world = World(tmp_path_factory.mktemp('untrained'), toy_weights)
    write_world(world.folder, test=12)
    world.weight = world.folder / 'toy.pth'
    save_state(make_model(load_cfg(world.yml()), 6).state_dict(), world.weight)
    for number in range(6, 18, 2):  # photos that look like another individual
        write_photo(world.folder / f'test/{number}/2.png', number + 1, 50)
    lists = world.folder / 'lists'
    query, gallery = (lists / f'{n}.txt' for n in ('query', 'gallery'))
    lines = gallery.read_text().splitlines()
    query.write_text(query.read_text() + '\n'.join(lines[:9]) + '\n')  # uneven: 4, 4, 4, 1, 1 …
    gallery.write_text('\n'.join(lines[9:] + lines[0:9:4]) + '\n')  # some queries have no match
    return world


def run(world, out, *options):
    """Test into ``out``; return results.json and queries.csv."""
    usual = ('TEST.WEIGHT', world.weight, 'OUTPUT_DIR', out, 'TEST.REPORT', False)
    test_clipreid.main(world.args(*usual, *options))
    found = json.loads((out / 'results.json').read_text())
    return found, pd.read_csv(out / 'queries.csv')


@pytest.fixture(scope='module')
def tested(untrained, tmp_path_factory):
    """(results.json, queries.csv, ranked_lists.csv with whole rankings)"""
    out = tmp_path_factory.mktemp('tested')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, 'TOP', 10_000)
        options = ('DATASETS.PROTOCOL', 'all', 'TEST.BOOTSTRAP', DRAWS)
        found, queries = run(untrained, out, *options)
    return found, queries, pd.read_csv(out / 'ranked_lists.csv')


def test_queries_are_those_of_the_rankings(tested):
    """Protocol 'all': average precision, a photo is never compared with itself."""
    _, queries, rankings = tested
    assert len(queries) == 21
    for row in queries.itertuples():
        ranking = rankings[rankings['query'] == row.query].sort_values('rank')
        right = (ranking['label'] == row.query_label).tolist()
        hits = [rank for rank, match in enumerate(right, start=1) if match]
        precisions = [number / rank for number, rank in enumerate(hits, start=1)]
        assert row.ap == pytest.approx(sum(precisions) / max(len(hits), 1))
        ends = (hits[0], hits[-1]) if hits else (0, 0)
        assert (row.first_hit, row.last_hit, row.positives) == (*ends, len(hits))
        assert row.compared == len(right) and row.counted == bool(hits)
    assert queries['counted'].sum() == 18
    assert 0.3 < queries['first_hit'].eq(1).mean() < 0.8  # else the test shows little


def plain(queries):
    """The metrics of a table of queries, one row for each time that it is drawn."""
    found = {
        'mAP': queries['ap'].mean(),
        'mINP': (queries['positives'] / queries['last_hit']).mean(),
    }
    for k in (1, 5, 10):
        found[f'rank{k}'] = queries['first_hit'].le(k).mean()
    found['chance'] = (queries['positives'] / queries['compared']).mean()
    groups = [table for _, table in queries.groupby('drawn')]
    found['macro/mAP'] = np.mean([table['ap'].mean() for table in groups])
    found['macro/rank1'] = np.mean([table['first_hit'].eq(1).mean() for table in groups])
    found['rank1_above_chance'] = (found['rank1'] - found['chance']) / (1 - found['chance'])
    return found


def test_the_measures_are_those_of_plain_loops(tested):
    found, queries, _ = tested
    queries = queries[queries['counted']]
    measures = found['measures']
    assert (measures['individuals'], measures['draws'], measures['reason']) == (12, DRAWS, '')
    expected = plain(queries.assign(drawn=queries['query_label']))
    assert measures['values'] == pytest.approx(expected)
    assert {name: measures['values'][name] for name in found['metrics']} == pytest.approx(
        found['metrics']
    )
    tables = [table for _, table in queries.groupby('query_label')]
    times = np.random.default_rng(measures['seed']).multinomial(12, [1 / 12] * 12, size=DRAWS)
    draws = []
    for row in times:
        drawn = [i for i, number in enumerate(row) for _ in range(number)]
        copies = [tables[i].assign(drawn=number) for number, i in enumerate(drawn)]
        draws.append(plain(pd.concat(copies)))
    for name in expected:
        values = [each[name] for each in draws]
        assert measures['intervals'][name] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    low, high = measures['intervals']['mAP']
    assert low < measures['values']['mAP'] < high


def test_without_draws(untrained, tmp_path, tested):
    found, queries = run(untrained, tmp_path, 'DATASETS.PROTOCOL', 'all', 'TEST.BOOTSTRAP', 0)
    measures = found['measures']
    assert measures['intervals'] == {} and measures['reason'] == 'TEST.BOOTSTRAP is 0'
    assert measures['values'] == tested[0]['measures']['values']
    pd.testing.assert_frame_equal(queries, tested[1])
    assert 'No intervals: TEST.BOOTSTRAP is 0' in (tmp_path / 'test_log.txt').read_text()


def test_of_nine_individuals(untrained, tmp_path):
    lines = (untrained.folder / 'lists/query.txt').read_text().splitlines()
    (tmp_path / 'few.txt').write_text('\n'.join(lines[:9]))
    found, _ = run(untrained, tmp_path, 'DATASETS.QUERY_LIST', tmp_path / 'few.txt')
    measures = found['measures']
    reason = 'an interval needs at least 10 query individuals, but the test has 9'
    assert (measures['individuals'], measures['reason']) == (9, reason)
    assert measures['intervals'] == {} and measures['values']['mAP'] == found['metrics']['mAP']
    log = (tmp_path / 'test_log.txt').read_text()
    assert f'No intervals: {reason}' in log and '% intervals' not in log


def write_tigers(folder, photos):
    """Write photos of 12 tigers by ATRW's names, the list and the ground truth, into a folder."""
    truth, lines = [], []
    for number in range(36):
        individual, view = divmod(number, 3)
        shutil.copy(photos / f'{6 + individual}/{view + 1}.png', folder / f'{number:06d}.png')
        frame = [view % 2, 0, 10 * number]
        group = ('sing', 'multi')[individual % 2]
        truth.append({'imgid': number, 'entityid': individual, 'query': group, 'frame': frame})
        lines.append(f'{number:06d}.png {individual}')
    (folder / 'list.txt').write_text('\n'.join(lines))
    (folder / 'truth.json').write_text(json.dumps(truth))


def test_the_groups_of_atrw(untrained, tmp_path):
    write_tigers(tmp_path, untrained.folder / 'test')
    lists = [f'DATASETS.{name}_LIST' for name in ('QUERY', 'GALLERY')]
    options = [*lists[:1], tmp_path / 'list.txt', *lists[1:], tmp_path / 'list.txt']
    options += ['DATASETS.GROUND_TRUTH', tmp_path / 'truth.json', 'DATASETS.SPECIES', 'tiger']
    options += ['DATASETS.TEST_ROOT_DIR', tmp_path, 'TEST.BOOTSTRAP', DRAWS]
    found, queries = run(untrained, tmp_path / 'out', *options)
    measures, tables = found['measures'], [table for _, table in queries.groupby('query_label')]
    times = np.random.default_rng(measures['seed']).multinomial(12, [1 / 12] * 12, size=DRAWS)
    draws = []
    for row in times:
        drawn = pd.concat([table for table, n in zip(tables, row, strict=True) for _ in range(n)])
        draws.append(drawn.groupby('group')['ap'].mean())
    of_group = pd.DataFrame(draws)
    expected = {'sing/mAP': of_group['sing'], 'multi/mAP': of_group['multi']}
    expected['mmAP'] = (of_group['sing'] + of_group['multi']) / 2
    log = (tmp_path / 'out/test_log.txt').read_text()
    for name, values in expected.items():
        low, high = measures['intervals'][name]
        assert [low, high] == pytest.approx(np.percentile(values, [2.5, 97.5]))
        assert measures['values'][name] == found['metrics'][name] and low < high
        assert f'{name:30}{measures["values"][name]:7.1%}  [{low:.1%}, {high:.1%}]' in log
    card = (untrained.folder / 'card.md').read_text()
    assert '| sing/mAP |' in card and '| mmAP |' in card
