"""The figures of a diagnosis: parts of photos, mirror images, flanks, frames of one encounter."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch.nn.functional as F

from datasets.protocols import Protocol
from utils.intervals import Average, Averages
from utils.metrics import ranked_gallery
from utils.ranking import Ranking, random_precision
from wildlife.diagnosis.figures import Figures, Values, average
from wildlife.diagnosis.material import MIRRORED, WHOLE, Material
from wildlife.diagnosis.views import PARTS

METRICS = ('mAP', 'rank1')
CHANCE = 'chance'  # a random ranking
ROUNDING = 1e-6  # similarities that differ by less are equal


def metric_averages(name: str, ranking: Ranking, counted: np.ndarray) -> Averages:
    """Return 'name/mAP' and 'name/rank1' over the queries that count, (Q,) bool."""
    values = ranking.published()
    return {f'{name}/{metric}': average(values[metric], counted) for metric in METRICS}


def chance_averages(ranking: Ranking, kind: str, counted: np.ndarray) -> Averages:
    """Return 'chance/mAP' and 'chance/rank1', those of a random ranking.

    Args:
        ranking: Says how many positives and photos each query has.
        kind: The kind of average precision.
        counted: (Q,) bool, the queries that count.
    """
    precision = random_precision(ranking.positives, ranking.compared, kind)
    first = ranking.positives / np.maximum(ranking.compared, 1)
    values = dict(zip(METRICS, (precision, first), strict=True))
    return {f'{CHANCE}/{metric}': average(values[metric], counted) for metric in METRICS}


def part_figures(material: Material) -> Figures:
    """Return mAP and rank-1 of whole photos and, if there are masks, of their parts.

    Returns:
        '<view>/<metric>' for the views 'whole', 'animal', 'background', 'outline' and 'chance';
        'whole - chance/<metric>'; for each part '<part> - whole/<metric>' and '<part> share', its
        mAP beyond chance as a share of that of whole photos; 'background - outline/<metric>'.
    """
    parts = [str(part) for part in PARTS if part in material.features]
    rankings = {WHOLE: material.ranking}
    rankings |= {part: material.rank(material.distance_of(part)) for part in parts}
    averages: dict[str, Average] = {}
    for name, ranking in rankings.items():
        averages |= metric_averages(name, ranking, ranking.counted)
    whole = material.ranking
    averages |= chance_averages(whole, material.test.protocol.ap, whole.counted)
    return material.bootstrap.figures(averages, partial(_with_comparisons, parts))


def _with_comparisons(parts: list[str], values: Values) -> Values:
    pairs = [(WHOLE, CHANCE), *((part, WHOLE) for part in parts)]
    pairs += [('background', 'outline')] if parts else []
    found = with_differences(values, pairs)
    for part in parts:
        found[f'{part} share'] = share_beyond_chance(values, part, WHOLE)
    return found


def with_differences(values: Values, pairs: list[tuple[str, str]]) -> Values:
    """Add the differences of both metrics, such as 'animal - whole/mAP'."""
    found = dict(values)
    for a, b in pairs:
        for metric in METRICS:
            found[f'{a} - {b}/{metric}'] = values[f'{a}/{metric}'] - values[f'{b}/{metric}']
    return found


def share_beyond_chance(values: Values, part: str, reference: str) -> np.ndarray:
    """Return (part - chance) / (reference - chance) of the mAPs."""
    chance = values[f'{CHANCE}/mAP']
    with np.errstate(divide='ignore', invalid='ignore'):  # not finite: not in the interval
        return (values[f'{part}/mAP'] - chance) / (values[f'{reference}/mAP'] - chance)


def mirror_figures(material: Material) -> Figures:
    """Compare each query with its own mirror image, by cosine similarity.

    Returns:
        'mirror', 'same' and 'other': mean similarity to the own mirror image, and to the compared
        photos of the same individual and of others; 'mirror - same'; 'mirror first': the share of
        photos whose mirror image is more alike than the nearest photo of another individual; a
        photo for which both are equally alike counts as half.
    """
    query = F.normalize(material.features[WHOLE])[material.trial.query_index]
    mirror = (query * F.normalize(material.features[MIRRORED])).sum(1).double().cpu().numpy()
    pairs = material.similarities()
    everyone = np.ones(len(mirror), dtype=bool)
    lead = mirror - pairs.nearest_other
    first = np.where(np.abs(lead) < ROUNDING, 0.5, np.where(lead > 0, 1.0, 0.0))
    first[np.isnan(lead)] = np.nan
    values = {
        'mirror': mirror,
        'same': pairs.same,
        'other': pairs.other,
        'mirror - same': mirror - pairs.same,
        'mirror first': first,
    }
    return material.bootstrap.figures({n: average(v, everyone) for n, v in values.items()})


def flank_figures(material: Material) -> Figures:
    """Look for each animal by photos of its other flank; {} if no query has any.

    Returns:
        'flank/<metric>': only photos of the other flank count as matches, besides the rules of the
        test; 'usual/<metric>': the test itself, on the same queries; 'chance/<metric>' of 'flank';
        'flank - chance/<metric>', 'flank - usual/<metric>'; 'similarity': mean cosine similarity
        to the other flank, 'other': to other individuals, 'similarity - other'.
    """
    rules = material.with_rules(never_itself=True, no_positive='skip')
    ranking = material.rank(material.distance, rules, also='side')
    counted = ranking.counted & material.ranking.counted
    if not counted.any():
        return {}
    pairs = material.similarities(rules, also='side')
    averages = metric_averages('flank', ranking, counted)
    averages |= metric_averages('usual', material.ranking, counted)
    averages |= chance_averages(ranking, rules.ap, counted)
    averages['similarity'] = average(pairs.same, counted)
    averages['other'] = average(pairs.other, counted)
    averages['similarity - other'] = average(pairs.same - pairs.other, counted)
    wanted = [('flank', CHANCE), ('flank', 'usual')]
    return material.bootstrap.figures(averages, lambda v: with_differences(v, wanted))


def encounter_figures(material: Material) -> Figures:
    """Measure how much photos of the query's own encounter flatter; {} if none are known.

    Returns:
        'together/<metric>': all photos of the individual count as matches; 'apart/<metric>':
        without those of the query's own encounter, on the same queries; 'together -
        apart/<metric>'; 'nearest': the share of queries whose nearest photo is a match from their
        own encounter, of all queries that have such a match.
    """
    together = material.with_rules(ignore='', never_itself=True, no_positive='skip')
    apart = replace(together, ignore='encounter')
    both, without = (material.rank(material.distance, rules) for rules in (together, apart))
    counted = without.counted & both.counted
    own = both.positives > without.positives  # have matches from their own encounter
    if not (counted & own).any():
        return {}
    averages = metric_averages('together', both, counted)
    averages |= metric_averages('apart', without, counted)
    wanted = [('together', 'apart')]
    figures = material.bootstrap.figures(averages, lambda v: with_differences(v, wanted))
    nearest = {'nearest': average(_nearest_is_own(material, together), own)}
    return figures | material.bootstrap.figures(nearest)  # of other queries


def _nearest_is_own(material: Material, rules: Protocol) -> np.ndarray:
    """Whether the nearest photo is a match from the query's own encounter: (Q,) 0 or 1."""
    query, gallery = material.trial.query, material.trial.gallery
    heads = ranked_gallery(material.distance, query, gallery, rules, 1)
    found = np.zeros(len(query))
    for row, (record, head) in enumerate(zip(query, heads, strict=True)):
        for index, match in head:
            found[row] = match and gallery[index].encounter == record.encounter
    return found
