"""The pictures of growing cost."""

import json

import pytest
from PIL import Image

from benchmarks import plots
from tests.helpers import ROOT
from utils.errors import InputError


def test_plots(tmp_path):
    way = {'seconds': 2.0, 'peak_bytes': 3e9, 'extra_bytes': 1e9}
    growth = {
        'rerank': [{'photos': 1000, 'ours': way, 'plain': way}, {'photos': 50_000, 'ours': way}],
        'evaluation': [
            {'gallery': size, 'queries': 200, 'ours': way, 'plain': way} for size in (1000, 5000)
        ],
        'stage1': [{'individuals': 100, 'seconds_per_epoch': 3.0, 'prompt_bytes': 800_000}],
    }
    (tmp_path / 'growth.json').write_text(
        json.dumps({'growth': growth, 'machine': {'cpu': 'a CPU', 'torch': '2'}})
    )
    paths = plots.main(['--json', str(tmp_path / 'growth.json'), '--out', str(tmp_path)])
    assert [path.name for path in paths] == [
        f'performance_{name}.png' for name in ('rerank', 'evaluation', 'stage1')
    ]
    for path in paths:
        with Image.open(path) as image:
            assert (
                image.size[0] > 400 and len(set(image.convert('L').resize((60, 40)).tobytes())) > 5
            )
        assert path.stat().st_size < 100_000


def test_plot_of_another_file_is_rejected(tmp_path):
    with pytest.raises(InputError, match='--growth'):
        plots.main(['--json', str(ROOT / 'tests/golden/eval.json'), '--out', str(tmp_path)])
