"""Explains pairs for the report of a test, and for the page, pictures and JSON of tools.explain."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from yacs.config import CfgNode

from datasets.loaders import TestSet
from datasets.transforms import make_test_transform
from processor.encoder import Encoder
from processor.inference import Result, distance_settings
from utils import __version__
from utils.errors import InputError
from utils.files import atomic_write, keep_earlier, write_json
from utils.logger import progress
from wildlife.explain.deletion import deletion_losses, summarize_losses
from wildlife.explain.maps import Explainer, Pair, Similarity, shares
from wildlife.explain.pairs import ChosenPair, hardest_pairs, pairs_for_check
from wildlife.explain.pictures import draw_pair
from wildlife.pages import render
from wildlife.report.runs import save_text
from wildlife.thumbnails import data_uri
from wildlife.words import counted

logger = logging.getLogger('transreid.test')

FORMAT = 1  # version of explain.json
ON_PAGE = 640  # pixels: largest width and height of a picture on a page, about 40 KB


@dataclass(frozen=True)
class Explained:
    """A pair of photos with its maps and its picture."""

    chosen: ChosenPair
    pair: Pair
    picture: Image.Image


def make_explainer(cfg: CfgNode, encoder: Encoder, upright: bool = False) -> Explainer:
    """Return what explains the pairs of a test.

    Args:
        cfg: The config of the test.
        encoder: Its encoder.
        upright: Whether to apply the EXIF orientation of photos; tests do not.
    """
    inputs = (cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    transform = make_test_transform(*inputs, upright=upright)
    return Explainer(encoder, Similarity(*distance_settings(cfg)), transform)


def explain_pairs(explainer: Explainer, chosen: Sequence[ChosenPair]) -> list[Explained]:
    """Explain and draw pairs; this shows a progress bar.

    Raises:
        InputError: A photo cannot be read, or the encoder has no places.
    """
    pairs = explainer.explain([(each.first, each.second) for each in chosen])
    upright = explainer.transform.reading.upright
    both = zip(chosen, progress(pairs, 'maps', total=len(chosen)), strict=True)
    return [Explained(each, pair, draw_pair(pair, upright)) for each, pair in both]


def check_faithfulness(explainer: Explainer, test: TestSet, count: int) -> dict[str, Any]:
    """Return the result of the deletion test on pairs of a test; see ``summarize_losses``.

    Raises:
        InputError: There are no pairs, a photo cannot be read, or the encoder has no places.
    """
    chosen = pairs_for_check(test, count)
    losses = deletion_losses(explainer, [(each.first, each.second) for each in chosen])
    return summarize_losses(losses, [each.first.pid for each in chosen])


def check_text(check: Mapping[str, Any]) -> str:
    """Say the result of the deletion test in words."""
    limits = f'no interval: {check["reason"]}'
    if check['interval']:
        low, high = check['interval']
        limits = f'{100 * check["level"]:.0f} % interval {low:+.4g} to {high:+.4g}'
    return (
        f'{counted(check["pairs"], "pair")} of {counted(check["individuals"], "individual")}, '
        'mean similarity '
        f'{check["similarity"]:.4g}: it falls by {check["loss_important"]:.4g} without the most '
        f'important tenth of the places, by {check["loss_random"]:.4g} without a random tenth; '
        f'difference {check["difference"]:+.4g} ({limits}); larger in '
        f'{100 * check["share_of_pairs"]:.0f} % of the pairs'
    )


def page_rows(explained: Sequence[Explained]) -> list[dict[str, Any]]:
    """Return what pages show of each pair: 'title', 'text', 'similarity' and 'picture'."""
    return [
        {
            'title': each.chosen.title,
            'text': each.chosen.text,
            'similarity': each.pair.similarity,
            'picture': data_uri(each.picture.copy(), ON_PAGE),
        }
        for each in explained
    ]


def looks_for_report(
    cfg: CfgNode, encoder: Encoder, test: TestSet, result: Result, names: Mapping[int, str]
) -> dict[str, Any] | None:
    """Explain the TEST.EXPLAIN hardest queries for the report of a test.

    Returns:
        'rows' (see ``page_rows``) and 'similarity' (its name); None if there is nothing to show. An
        encoder that cannot be explained is logged.
    """
    chosen = hardest_pairs(test, result, names, cfg.TEST.EXPLAIN) if cfg.TEST.EXPLAIN else []
    if not chosen:
        return None
    explainer = make_explainer(cfg, encoder)
    try:
        explained = explain_pairs(explainer, chosen)
    except InputError as error:
        logger.info('The report does not show where the model looks: %s', error)
        return None
    return {'rows': page_rows(explained), 'similarity': explainer.similarity.text}


def write_explanations(
    folder: Path,
    explained: Sequence[Explained],
    check: Mapping[str, Any] | None,
    facts: Mapping[str, Any],
) -> Path:
    """Write explain.html, explain.json and pair_1.png, …; earlier ones are kept and numbered.

    Args:
        folder: The folder, which exists.
        explained: The pairs.
        check: The result of the deletion test; None = it was not made.
        facts: For explain.json and the page: 'similarity' (its name), 'checkpoint' …

    Returns:
        The path of the page.
    """
    for earlier in (folder / 'explain.json', *folder.glob('pair_*.png')):
        if '.' not in earlier.stem:  # else it is numbered already
            keep_earlier(earlier)
    rows = []
    for number, each in enumerate(explained, start=1):
        name = f'pair_{number}.png'
        with atomic_write(folder / name, 'wb') as file:
            each.picture.save(file, format='PNG')
        rows.append(_json_row(each, name))
    about = {'format': FORMAT, 'version': __version__, **facts}
    write_json(folder / 'explain.json', about | {'check': check, 'pairs': rows})
    page = render(
        'explain.html',
        title='Where the model looks',
        looks={'rows': page_rows(explained), 'similarity': facts['similarity']},
        check=check_text(check) if check else '',
        facts=facts,
    )
    save_text(folder / 'explain.html', page)
    return folder / 'explain.html'


def _rounded(values: np.ndarray) -> list[list[float]]:
    """Return numbers (h, w) with six significant digits."""
    return np.vectorize(lambda value: float(f'{value:.6g}'))(values).tolist()


def _json_row(explained: Explained, picture: str) -> dict[str, Any]:
    """Return a pair for explain.json; contributions and shares are rows of places."""
    pair = explained.pair
    photos = [
        {
            'path': record.path,
            'contributions': _rounded(contributions),
            'shares': _rounded(shares(contributions)),
        }
        for record, contributions in zip((pair.first, pair.second), pair.maps, strict=True)
    ]
    about = {'title': explained.chosen.title, 'text': explained.chosen.text}
    return about | {'similarity': pair.similarity, 'picture': picture, 'photos': photos}
