"""Reading metrics.jsonl."""

import json

from wildlife.report.events import read_events


def test_damaged_lines_of_the_metrics_are_skipped(tmp_path):
    good = [
        {'event': 'stage1', 'time': 5.0},
        {'event': 'validation', 'time': 6, 'epoch': 3, 'mAP': 0.25},
    ]
    lines = [
        '{',
        '[' * 100_000,
        '[]',
        '7',
        '{"event": "stage1_epoch", "time": 1, "epoch": Infinity}',
        '{"event": "validation", "time": 1}',
        '{"event": "stage1"}',
    ]
    text = '\n'.join([*map(json.dumps, good), *lines])
    (tmp_path / 'metrics.jsonl').write_text(text)
    assert read_events(tmp_path) == good
    assert read_events(tmp_path / 'no such folder') == []
