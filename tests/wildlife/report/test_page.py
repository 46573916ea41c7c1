"""report.html as text: what it says for each kind of test, and names."""

import html
import json
import re

from configs import flatten, load_cfg
from tests.wildlife.report.small_tests import EVIL, small_test
from utils.intervals import measure
from wildlife.report import page as module
from wildlife.report.page import write_report


def written(folder, test, result, facts):
    """The page, as text without tags but with entities resolved, and its data."""
    folder.mkdir(exist_ok=True)
    page = write_report(folder, test, result, facts).read_text(encoding='utf-8')
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
    visible = page.partition('<script')[0].replace('</th>', ' ').replace('</td>', ' ')
    text = re.sub(r'\s+', ' ', html.unescape(re.sub(r'<[^>]*>', '', visible)))
    return text, json.loads(data), page


def percent(value):
    return f'{100 * value:.1f} %'


def test_the_headline_has_intervals_chance_and_protocol(tmp_path):
    test, result, facts = small_test(tmp_path)
    text, _, _ = written(tmp_path / 'out', test, result, facts)
    values, intervals = facts['measures']['values'], facts['measures']['intervals']
    mean, low, high = map(percent, (values['mAP'], *intervals['mAP']))
    assert f'mAP {mean} {low} to {high}' in text
    right = int((result.rankings[0].first_hit == 1).sum())
    share, low, high = map(percent, (values['rank1'], *intervals['rank1']))
    rank1 = f'{share}, 95 % interval {low} to {high}'
    assert f'For {right} of 65 query photos ({rank1}) the nearest photo' in text
    assert f'would put the same individual first for {percent(values["chance"])}' in text
    assert 'Queries with no match in the gallery: 5.' in text
    assert f'Protocol cross-encounter: {test.protocol.text}' in text
    assert 'toy & co: test of RN50_80.pth' in text
    assert 'Training' not in text and 'trials' not in text and 're-ranking' not in text


def test_missing_intervals_are_explained(tmp_path):
    test, result, facts = small_test(tmp_path)
    labels = [record.pid for record in test.query]
    off = measure(result.rankings[0], labels, [''] * len(labels), 0, 0)
    text, _, page = written(tmp_path / 'out', test, result, facts | {'measures': off})
    assert 'No intervals: TEST.BOOTSTRAP is 0.' in text
    assert f'mAP {percent(off["values"]["mAP"])} –' in text
    assert 'class="band' not in page and 'The band' not in text


def test_of_several_trials_the_first_is_described(tmp_path):
    test, result, facts = small_test(tmp_path, trials=3)
    reason = 'the metrics are means over 3 trials'
    none = {'individuals': 0, 'draws': 0, 'values': {}, 'intervals': {}, 'reason': reason}
    text, _, _ = written(tmp_path / 'out', test, result, facts | {'measures': none})
    assert 'means over 3 trials. All the rest of this page describes the first trial' in text
    assert f'No intervals: {reason}.' in text and f'mAP {percent(result.metrics["mAP"])} –' in text


def test_paths_cannot_end_the_script(tmp_path):
    test, result, facts = small_test(tmp_path)
    _, data, page = written(tmp_path / 'out', test, result, facts)
    assert any(EVIL in photo['path'] for photo in data['photos'])
    assert EVIL not in page and '<img src=q' not in page


def test_training_curves_are_drawn_and_earlier_pages_kept(tmp_path):
    test, result, facts = small_test(tmp_path)
    lines = [{'event': 'stage2_epoch', 'time': 1, 'epoch': 1, 'loss': 7.5, 'id_loss': 4.25}]
    lines.append({'event': 'validation', 'time': 2, 'epoch': 1, 'mAP': 0.5})
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    facts = facts | {'re_ranking': {'k1': 20}}
    for _ in range(2):
        text, _, _ = written(tmp_path / 'out', test, result, facts)
    assert 'After the last epoch: loss 7.5, id_loss 4.25.' in text
    assert 'mAP 0.5.' in text and 'distances are the re-ranked ones' in text
    pages = sorted(path.name for path in (tmp_path / 'out').glob('*.html'))
    assert pages == ['report.1.html', 'report.html']


def test_other_data_sets_are_named_by_their_key(tmp_path):
    _, _, facts = small_test(tmp_path)
    config = flatten(load_cfg(opts=['DATASETS.NAMES', 'veri']))
    assert module._title(facts | {'config': config}) == 'veri: test of RN50_80.pth'


def test_intervals_are_drawn_on_a_scale_that_holds_them():
    rows = [{'value': 0.04, 'high': 0.17}, {'value': 0.1, 'high': None}]
    assert module._scale(rows) == 0.2
    assert module._scale([*rows, {'value': 1 + 1e-15, 'high': 1.0}]) == 1  # a rounding error
