"""What the figures of a diagnosis allow to say, in sentences; no claim beyond an interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from wildlife.diagnosis.figures import Figure, Figures

# Thresholds; docs/outputs.md and the page state them.
SOME = 0.10  # share of what whole photos find beyond chance: below it a part hardly counts
MUCH = 0.50  # above it a part counts for much
MIRROR = 0.90  # share of photos with their mirror image first: above it the model ignores mirroring
RELATION = 0.10  # rank correlation, of either sign: below it a property hardly matters
THRESHOLDS = {'some': SOME, 'much': MUCH, 'mirror': MIRROR, 'relation': RELATION}

UNCLEAR, NO_INTERVAL = 'unclear', 'no interval'  # verdicts
USES, DECIDES = 'uses it', 'decides much'
NO_CLAIM = 'Without an interval nothing is claimed from this.'

LOW_HIGH = {  # property -> what photos with low and with high values are called
    'size': ('Small photos', 'large ones'),
    'brightness': ('Dark photos', 'bright ones'),
    'contrast': ('Photos of low contrast', 'those of high contrast'),
    'blur': ('Sharp photos', 'blurred ones'),
}


@dataclass(frozen=True)
class Finding:
    """What was found about a question.

    Attributes:
        topic: What it is about: 'test', 'background' …
        verdict: The answer in a few words; 'unclear' if the interval allows none, 'no interval' if
            there is none.
        text: The sentences, with figures and intervals.
    """

    topic: str
    verdict: str
    text: str


def percent(figure: Figure) -> str:
    """Return '12.3 % [10.1, 14.5]' for a fraction; without an interval '12.3 %'."""
    return f'{100 * figure.value:.1f} %' + _interval(figure, 100, '.1f')


def points(figure: Figure) -> str:
    """Return '+1.2 points [0.3, 2.1]' for a difference of fractions."""
    return f'{100 * figure.value:+.1f} points' + _interval(figure, 100, '+.1f')


def chance(figures: Figures, metric: str) -> str:
    """Return a metric of a random ranking, which needs no interval."""
    return percent(Figure(figures[f'chance/{metric}'].value))


def plain(figure: Figure) -> str:
    """Return '0.53 [0.50, 0.56]'."""
    return f'{figure.value:.2f}' + _interval(figure, 1, '.2f')


def _interval(figure: Figure, factor: float, form: str) -> str:
    if figure.interval is None:
        return ''
    low, high = (format(factor * bound, form) for bound in figure.interval)
    return f' [{low}, {high}]'


def test_words(figures: Figures) -> Finding:
    """Say what whole photos find."""
    text = (
        f'Whole photos: mAP {percent(figures["whole/mAP"])}, rank-1 '
        f'{percent(figures["whole/rank1"])}. A random ranking would give mAP '
        f'{chance(figures, "mAP")}, rank-1 {chance(figures, "rank1")}.'
    )
    gain = figures['whole - chance/mAP']
    if gain.interval is None:
        return Finding('test', NO_INTERVAL, f'{text} {NO_CLAIM}')
    if gain.above(0):
        return Finding('test', 'finds animals', f'{text} The model finds more than chance.')
    words = 'It is not shown that the model finds more than chance.'
    return Finding('test', UNCLEAR, f'{text} {words}')


def background_words(figures: Figures, together: bool) -> Finding:
    """Say whether the model uses the background.

    Args:
        figures: From ``measures.part_figures``.
        together: Whether photos of the query's own encounter count as matches.
    """
    share = figures['background share']
    text = (
        f'The background alone finds mAP {percent(figures["background/mAP"])}, rank-1 '
        f'{percent(figures["background/rank1"])}: {percent(share)} of what whole photos find '
        f'beyond chance. Chance is mAP {chance(figures, "mAP")}; the outline of the '
        f'animal alone finds {percent(figures["outline/mAP"])}.'
    )
    verdict, words = _background_verdict(figures)
    if together and verdict in (USES, DECIDES):
        words += (
            ' Photos of one encounter share the background: test under the protocol '
            'cross-encounter, too.'
        )
    return Finding('background', verdict, f'{text} {words}')


def _background_verdict(figures: Figures) -> tuple[str, str]:
    share = figures['background share']
    if share.interval is None:
        return NO_INTERVAL, NO_CLAIM
    if not figures['whole - chance/mAP'].above(0):
        return UNCLEAR, 'Whole photos do not find more than chance, so there is nothing to explain.'
    if share.below(SOME):
        return 'hardly uses it', (
            'Alone, the background gives the model hardly anything: the share is below '
            f'{100 * SOME:.0f} %. Beside the animal it may still help or disturb.'
        )
    if not share.above(SOME):
        return UNCLEAR, (
            'Whether the model uses the background is not settled by these photos: the interval '
            f'of the share includes {100 * SOME:.0f} %.'
        )
    if not figures['background - outline/mAP'].above(0):
        return UNCLEAR, (
            'But it is not shown that the background finds more than the outline of the animal '
            f'({points(figures["background - outline/mAP"])}), so shape, size and place of the '
            'animal may be the reason.'
        )
    if share.above(MUCH):
        return DECIDES, (
            'The background decides much: it alone finds more than half of what whole photos '
            'find. Expect worse results for the same animals in other places.'
        )
    return USES, (
        'The model uses the background. Expect worse results for the same animals in other places.'
    )


def animal_words(figures: Figures) -> Finding:
    """Say what the animal without its background finds."""
    change = figures['animal - whole/mAP']
    text = (
        f'The animal alone finds mAP {percent(figures["animal/mAP"])}, rank-1 '
        f'{percent(figures["animal/rank1"])}: {percent(figures["animal share"])} of what whole '
        f'photos find beyond chance; mAP changes by {points(change)}.'
    )
    if change.interval is None:
        return Finding('animal', NO_INTERVAL, f'{text} {NO_CLAIM}')
    if change.above(0):
        words = 'Without their background photos are found better: consider removing it.'
        return Finding('animal', 'finds more', f'{text} {words}')
    if change.below(0):
        words = (
            'Without their background photos are found less well. Photos with a plain background '
            'are unusual for the model, which may be a part of this.'
        )
        return Finding('animal', 'finds less', f'{text} {words}')
    return Finding('animal', UNCLEAR, f'{text} No difference to whole photos is shown.')


def mirror_words(figures: Figures) -> Finding:
    """Say whether the model tells a photo from its mirror image."""
    first, closer = figures['mirror first'], figures['mirror - same']
    text = (
        f'For {percent(first)} of the photos the own mirror image is more alike than the nearest '
        f'photo of another individual. Mean similarity to the mirror image '
        f'{plain(figures["mirror"])}, to other photos of the same individual '
        f'{plain(figures["same"])}, to other individuals {plain(figures["other"])}.'
    )
    if first.interval is None:
        return Finding('mirror', NO_INTERVAL, f'{text} {NO_CLAIM}')
    verdict, words = _mirror_verdict(first)
    if closer.above(0):
        words += ' A mirror image is closer than another photo of the animal.'
    elif closer.below(0):
        words += ' Another photo of the animal is closer than the mirror image.'
    return Finding('mirror', verdict, f'{text} {words}')


def _mirror_verdict(first: Figure) -> tuple[str, str]:
    if first.above(MIRROR):
        return 'ignores mirroring', 'To the model a mirror image shows the same animal.'
    if first.above(MUCH):
        return 'mostly ignores mirroring', 'To the model most mirror images show the same animal.'
    if first.below(MUCH):
        return 'sees mirroring', 'To the model most mirror images show another animal.'
    return UNCLEAR, 'Whether the model takes them for the same animal is not settled.'


def flank_words(figures: Figures) -> Finding:
    """Say whether animals are found by their other flank."""
    if not figures:
        text = 'No individual has photos of both flanks with known sides, so this was not examined.'
        return Finding('other flank', 'not examined', text)
    gain = figures['flank - chance/mAP']
    text = (
        f'By photos of the other flank: mAP {percent(figures["flank/mAP"])}, rank-1 '
        f'{percent(figures["flank/rank1"])}; chance is mAP {chance(figures, "mAP")}. '
        f'The test itself has mAP {percent(figures["usual/mAP"])} on these photos. Mean '
        f'similarity to the other flank {plain(figures["similarity"])}, to other individuals '
        f'{plain(figures["other"])}.'
    )
    if gain.interval is None:
        return Finding('other flank', NO_INTERVAL, f'{text} {NO_CLAIM}')
    if not gain.above(0):
        words = 'It is not shown that an animal is found by its other flank.'
        return Finding('other flank', UNCLEAR, f'{text} {words}')
    words = f'Animals are found by their other flank better than by chance ({points(gain)}).'
    return Finding('other flank', 'finds it', f'{text} {words}')


def property_words(name: str, correlation: Figure, quarters: list[dict]) -> Finding:
    """Say whether a property of photos goes with being found.

    Args:
        name: The property.
        correlation: Its rank correlation with average precision.
        quarters: From ``quality.property_figures``.
    """
    low, high = LOW_HIGH[name]
    if not quarters:
        return Finding(name, 'not examined', f'{name.capitalize()}: equal for all photos.')
    text = f'Nearly all photos are equal in this; rank correlation {plain(correlation)}.'
    if len(quarters) > 1:
        total = sum(quarter['photos'] for quarter in quarters)
        first, last = (100 * quarters[end]['photos'] / total for end in (0, -1))
        text = (
            f'{low} ({first:.0f} % of the photos) have mAP {percent(quarters[0]["mAP"])}, {high} '
            f'({last:.0f} %) {percent(quarters[-1]["mAP"])}; rank correlation '
            f'{plain(correlation)}.'
        )
    if math.isnan(correlation.value):
        text = f'All photos have the same average precision, {percent(quarters[0]["mAP"])}.'
        return Finding(name, 'not examined', text)
    if correlation.interval is None:
        return Finding(name, NO_INTERVAL, f'{text} {NO_CLAIM}')
    if correlation.above(RELATION):
        return Finding(name, 'matters', f'{text} {low} are found less well.')
    if correlation.below(-RELATION):
        return Finding(name, 'matters', f'{text} {low} are found better.')
    if correlation.above(-RELATION) and correlation.below(RELATION):
        return Finding(name, 'hardly matters', f'{text} It hardly matters.')
    return Finding(name, UNCLEAR, f'{text} Whether it matters is not settled by these photos.')


def encounter_words(figures: Figures) -> Finding:
    """Say how much photos of the query's own encounter flatter."""
    if not figures:
        text = 'No animal has photos of one known encounter and of others: not examined.'
        return Finding('encounters', 'not examined', text)
    gain = figures['together - apart/mAP']
    text = (
        f'With the photos of its own encounter an animal is found with mAP '
        f'{percent(figures["together/mAP"])}, rank-1 {percent(figures["together/rank1"])}; '
        f'without them, mAP {percent(figures["apart/mAP"])}, rank-1 '
        f'{percent(figures["apart/rank1"])}, on the same photos: {points(gain)}. For '
        f'{percent(figures["nearest"])} of the photos that have such a match the nearest photo is '
        'one.'
    )
    if gain.interval is None:
        return Finding('encounters', NO_INTERVAL, f'{text} {NO_CLAIM}')
    if gain.above(0):
        words = 'Frames of one encounter flatter: judge by the figures without them.'
        return Finding('encounters', 'flatter', f'{text} {words}')
    return Finding('encounters', UNCLEAR, f'{text} It is not shown that they flatter.')


def findings(
    parts: Figures,
    mirror: Figures,
    flank: Figures,
    encounters: Figures,
    properties: Mapping[str, tuple[Figure, list[dict]]],
    together: bool = False,
) -> list[Finding]:
    """Return all findings, the gravest questions first.

    Args:
        parts, mirror, flank, encounters: The figures, see ``measures``.
        properties: Property -> correlation and quarters, see ``quality.property_figures``.
        together: Whether the test counts photos of the query's own encounter as matches.
    """
    found = [test_words(parts)]
    if 'background/mAP' in parts:
        found += [background_words(parts, together), animal_words(parts)]
    else:
        text = 'Without masks (--masks) it was not examined whether the model uses the background.'
        found.append(Finding('background', 'not examined', text))
    found += [encounter_words(encounters), mirror_words(mirror), flank_words(flank)]
    return found + [property_words(name, *of) for name, of in properties.items()]
