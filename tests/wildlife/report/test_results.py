"""Reading the result of a test: what it gives, and what is rejected."""

import json

import numpy as np
import pandas as pd
import pytest

from processor.results import FORMAT
from tests.wildlife.report.runs import LABELS, random_ranks, write_run
from utils.errors import InputError
from utils.intervals import query_averages
from wildlife.report.results import file_name, read_result


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / 'run', random_ranks(1))


def test_the_folder_or_its_file(folder):
    for path in (folder, str(folder), folder / 'results.json'):
        result = read_result(path)
        assert result.folder == folder and result.facts['format'] == FORMAT
    ranks = random_ranks(1)
    np.testing.assert_array_equal(result.identities, LABELS)
    np.testing.assert_array_equal(result.ranking.first_hit, ranks)
    averages = query_averages(result.ranking, result.identities, result.queries['group'])
    assert averages['mAP'].mean() == result.measures['values']['mAP']
    assert averages['mAP'].mean() == pytest.approx((1 / ranks).mean())


def rejected(path, *words):
    with pytest.raises(InputError) as error:
        read_result(path).queries  # noqa: B018  it reads queries.csv
    text = str(error.value)
    assert '\n' not in text and all(word in text for word in words), text


def test_no_result(tmp_path):
    rejected(tmp_path, str(tmp_path / 'results.json'), 'name the OUTPUT_DIR of a test')
    rejected(tmp_path / 'no folder', 'No such file', 'name the OUTPUT_DIR of a test')


FOREIGN = ['', '{', '[]', '7', 'null', '{"mAP": 0.5}', '"metrics"']


@pytest.mark.parametrize('content', FOREIGN)
def test_another_program_wrote_it(folder, content):
    (folder / 'results.json').write_text(content)
    rejected(folder, str(folder / 'results.json'), 'not the results.json of a test')


@pytest.mark.parametrize(('change', 'named'), [({}, 1), ({'format': FORMAT + 1}, FORMAT + 1)])
def test_another_version_wrote_it(folder, change, named):
    facts = json.loads((folder / 'results.json').read_text())
    del facts['format']
    (folder / 'results.json').write_text(json.dumps(facts | change))
    rejected(folder, f'format {named}', f'reads {FORMAT}', 'test the checkpoint again')


DAMAGES = [  # key of results.json, its value, word of the error
    ('measures', None, 'measures'),
    ('measures', {}, 'individuals'),
    ('measures/values', {'mAP': 'x'}, 'mAP'),
    ('measures/values', {'mAP': float('nan')}, 'NaN'),
    ('measures/intervals', {'mAP': [0.5]}, 'mAP'),
    ('measures/reason', [], 'reason'),
    ('metrics', {'mAP': float('inf')}, 'Infinity'),
    ('config', [], 'config'),
    ('config/SOLVER.SEED', '7', 'SOLVER.SEED'),
    ('config/DATASETS.NAMES', None, 'DATASETS.NAMES'),
    ('data', {'query': 5}, 'data query'),
    ('data/query', {'photos': 3}, 'sha256'),
    ('trials', '1', 'trials'),
    ('checkpoint', 5, 'checkpoint'),
    ('re_ranking', 'yes', 're_ranking'),
]


@pytest.mark.parametrize(('key', 'value', 'word'), DAMAGES)
def test_values_that_no_test_writes(folder, key, value, word):
    file = folder / 'results.json'
    facts = json.loads(file.read_text())
    *outer, last = key.split('/')
    part = facts[outer[0]] if outer else facts
    part[last] = value
    file.write_text(json.dumps(facts))
    rejected(folder, str(file), word, 'test again')


def test_undefined_values_are_read(folder):
    facts = json.loads((folder / 'results.json').read_text())
    facts['metrics']['mINP'] = facts['measures']['values']['mINP'] = None
    facts['measures']['intervals']['mINP'] = None
    (folder / 'results.json').write_text(json.dumps(facts))
    assert read_result(folder).metrics['mINP'] is None


def test_a_number_that_is_too_large(folder):
    text = (folder / 'results.json').read_text()
    (folder / 'results.json').write_text(text.replace('"mAP": ', '"huge": 1e999, "mAP": ', 1))
    rejected(folder, 'huge is not a number')


def test_a_results_json_without_end(folder):
    (folder / 'results.json').write_text('[' * 100_000)
    rejected(folder, 'not the results.json of a test')


TABLES = [  # table, column, value of its second row
    ('queries.csv', 'ap', 'x'),
    ('queries.csv', 'first_hit', ''),
    ('queries.csv', 'first_hit', 'inf'),
    ('queries.csv', 'positives', '9' * 20),
    ('queries.csv', 'counted', '-1'),
    ('queries.csv', 'query', ''),
    ('ranked_lists.csv', 'rank', '<b>'),
    ('ranked_lists.csv', 'photo', ''),
]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(('name', 'column', 'value'), TABLES)
def test_a_damaged_cell(folder, name, column, value):
    table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(folder / name, index=False)
    attribute = name.removesuffix('.csv')
    with pytest.raises(InputError, match=r'damaged \(.*\); test again$') as error:
        getattr(read_result(folder), attribute)
    assert str(folder / name) in str(error.value)


@pytest.mark.parametrize('content', [None, '', 'query,group\na,\n', '\0'])
def test_queries_that_cannot_be_read(folder, content):
    if content is None:
        (folder / 'queries.csv').unlink()
    else:
        (folder / 'queries.csv').write_text(content)
    rejected(folder, str(folder / 'queries.csv'), 'test again')


def test_file_names_of_results_from_another_operating_system():
    paths = (
        'runs/a/RN50_15.pth',
        r'C:\runs\a\RN50_15.pth',
        r'\\disk\runs/a/RN50_15.pth',
        'RN50_15.pth',
    )
    assert {file_name(path) for path in paths} == {'RN50_15.pth'}


def test_queries_that_do_not_count_may_stand_in_the_table(folder):
    table = pd.read_csv(folder / 'queries.csv')
    table = pd.concat([table, table[:1].assign(ap=0.0, first_hit=0, counted=False)])
    table.to_csv(folder / 'queries.csv', index=False)
    assert len(read_result(folder).queries) == len(LABELS) + 1
