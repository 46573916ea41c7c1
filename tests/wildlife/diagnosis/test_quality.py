"""Properties of photos against plain formulas, and their relation to being found."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from datasets.images import read_image
from utils.errors import InputError
from wildlife.diagnosis.figures import Bootstrap
from wildlife.diagnosis.quality import (
    dense_ranks,
    measure_photos,
    photo_properties,
    property_figures,
    spearman,
)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / 'a.png')
    return tmp_path / 'a.png'


def crete(grey):
    """Crete et al. 2007, in loops: how much of the differences of neighbours a blur takes away."""
    blurs = []
    for plane in (grey, grey.T):
        padded = np.pad(plane, ((5, 5), (0, 0)), mode='symmetric')
        low = np.array([padded[row : row + 11].mean(axis=0) for row in range(len(plane))])
        sharp, blurred = (slope(each) for each in (plane, low))
        lost = np.maximum(0, sharp - blurred)
        blurs.append((sharp.sum() - lost.sum()) / sharp.sum())
    return max(blurs)


def slope(plane):
    """Sobel along the first axis, rows and columns 2 to the last but one, as scikit-image."""
    smooth = plane[:, :-2] + 2 * plane[:, 1:-1] + plane[:, 2:]
    return np.abs(smooth[2:] - smooth[:-2])[1:, 1:] / 8


def test_properties(photo):
    size, brightness, contrast, blur = photo_properties(str(photo), (30, 40))
    seen = np.asarray(read_image(photo).resize((40, 30), Image.Resampling.BILINEAR)) / 255
    grey = seen @ [0.2125, 0.7154, 0.0721]
    assert size == pytest.approx((60 * 90) ** 0.5)
    assert brightness == pytest.approx(grey.mean()) and contrast == pytest.approx(grey.std())
    assert blur == pytest.approx(crete(grey), abs=1e-9)


def test_blur_grows_with_blurring(photo, tmp_path):
    for radius in (1, 2, 4):
        image = read_image(photo).filter(ImageFilter.GaussianBlur(radius))
        image.save(tmp_path / f'{radius}.png')
    paths = [str(tmp_path / name) for name in ('a.png', '1.png', '2.png', '4.png', 'a.png')]
    table = measure_photos(paths, [60, 90])
    assert (np.diff(table['blur'].to_numpy()[:4]) > 0.02).all()
    assert table.index.tolist() == paths  # a photo may be there twice
    Image.new('RGB', (9, 9)).save(tmp_path / 'black.png')
    assert np.isnan(photo_properties(str(tmp_path / 'black.png'), (30, 40))[3])
    with pytest.raises(InputError, match='gone.png'):
        measure_photos([str(tmp_path / 'gone.png')], [60, 90])


@pytest.mark.parametrize('levels', [2, 5, 1000])
def test_spearman_of_repeated_pairs(levels):
    rng = np.random.default_rng(levels)
    x = rng.integers(0, levels, 60)
    y = x + rng.integers(0, levels, 60)
    times = rng.integers(0, 4, 60)
    repeated = pd.DataFrame({'x': x, 'y': y}).loc[np.repeat(np.arange(60), times)]
    expected = repeated.corr(method='spearman').loc['x', 'y']
    found = spearman(dense_ranks(x), dense_ranks(y), times.astype(float))
    assert found == pytest.approx(expected, abs=1e-12)
    assert np.isnan(spearman(dense_ranks(np.ones(60)), dense_ranks(y), times.astype(float)))


def sample(relation, seed=0, individuals=40, photos=10):
    """Values, average precision and bootstrap; both vary between individuals too."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(individuals), photos)
    values = rng.normal(size=individuals)[ids] + rng.normal(size=len(ids))
    ap = relation * values + rng.normal(size=individuals)[ids] + rng.normal(size=len(ids))
    return values, ap, Bootstrap(ids, 300)


def test_relation_and_quarters():
    values, ap, bootstrap = sample(-0.8)
    counted = np.arange(len(values)) % 7 > 0
    values[3] = np.nan
    correlation, quarters = property_figures(values, ap, counted, bootstrap)
    known = counted & np.isfinite(values)
    table = pd.DataFrame({'x': values[known], 'y': ap[known]})
    assert correlation.value == pytest.approx(table.corr(method='spearman').loc['x', 'y'])
    assert correlation.below(-0.1)
    table['quarter'] = pd.qcut(table['x'], 4, labels=False)
    means = table.groupby('quarter')['y'].agg(['mean', 'size'])
    assert [each['mAP'].value for each in quarters] == pytest.approx(means['mean'].tolist())
    assert [each['photos'] for each in quarters] == means['size'].tolist()
    assert quarters[0]['low'] == table['x'].min() and quarters[-1]['high'] == table['x'].max()


def test_the_interval_is_over_individuals():
    """It holds 0 where there is no relation, and is wider than one over photos."""
    covered = 0
    for seed in range(20):
        values, ap, bootstrap = sample(0, seed)
        own, _ = property_figures(values, ap, np.ones(len(ap), dtype=bool), bootstrap)
        covered += own.interval[0] < 0 < own.interval[1]
    assert covered >= 17
    photos = Bootstrap(np.arange(len(ap)), 300)
    other, _ = property_figures(values, ap, np.ones(len(ap), dtype=bool), photos)
    assert np.ptp(own.interval) > 1.2 * np.ptp(other.interval)


def test_equal_values():
    _, ap, bootstrap = sample(0)
    everyone = np.ones(len(ap), dtype=bool)
    correlation, quarters = property_figures(np.full(len(ap), 3.0), ap, everyone, bootstrap)
    assert np.isnan(correlation.value) and quarters == []
    two = np.where(np.arange(len(ap)) < 20, 2.0, 1.0)
    _, quarters = property_figures(two, ap, everyone, bootstrap)
    assert sum(each['photos'] for each in quarters) == len(ap)
