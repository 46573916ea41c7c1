"""What is said for which figures: each threshold from both sides; nothing without intervals."""

import pytest

from tests.wildlife.diagnosis.made_up import figures
from wildlife.diagnosis import words
from wildlife.diagnosis.figures import Figure

WHOLE = {
    'whole_of_mAP': (0.60, 0.50, 0.70),
    'whole_of_rank1': (0.70, 0.60, 0.80),
    'chance_of_mAP': (0.05, 0.04, 0.06),
    'chance_of_rank1': (0.04, 0.03, 0.05),
    'whole_minus_chance_of_mAP': (0.55, 0.45, 0.65),
}


def parts(share, beyond_outline=(0.05, 0.01, 0.09), **others):
    alone = {
        'background_of_mAP': (0.20, 0.10, 0.30),
        'background_of_rank1': (0.20, 0.10, 0.30),
        'outline_of_mAP': (0.06, 0.05, 0.07),
        'background_share': share,
        'background_minus_outline_of_mAP': beyond_outline,
    }
    return figures(**WHOLE | alone | others)


@pytest.mark.parametrize(
    ('share', 'verdict', 'text'),
    [
        ((0.02, -0.03, 0.099), 'hardly uses it', 'gives the model hardly anything'),
        ((0.06, 0.01, 0.11), 'unclear', 'not settled'),
        ((0.30, 0.09, 0.50), 'unclear', 'not settled'),
        ((0.30, 0.11, 0.50), 'uses it', 'The model uses the background.'),
        ((0.80, 0.49, 0.95), 'uses it', 'The model uses the background.'),
        ((0.80, 0.51, 0.95), 'decides much', 'more than half'),
        (0.80, 'no interval', 'nothing is claimed'),
    ],
)
def test_background(share, verdict, text):
    found = words.background_words(parts(share), together=False)
    assert found.verdict == verdict and text in found.text
    assert 'mAP 20.0 % [10.0, 30.0]' in found.text and 'Chance is mAP 5.0 %;' in found.text
    if isinstance(share, tuple):
        value, low, high = (100 * each for each in share)
        assert f'{value:.1f} % [{low:.1f}, {high:.1f}] of what whole photos' in found.text


def test_an_outline_is_no_background():
    figure = parts((0.8, 0.6, 0.9), beyond_outline=(0.01, -0.01, 0.03))
    found = words.background_words(figure, together=False)
    assert found.verdict == 'unclear' and '+1.0 points [-1.0, +3.0]' in found.text


def test_nothing_explains_what_is_not_found():
    figure = parts((0.8, 0.6, 0.9), whole_minus_chance_of_mAP=(0.01, -0.01, 0.03))
    assert words.background_words(figure, together=False).verdict == 'unclear'
    assert words.test_words(figure).verdict == 'unclear'
    assert words.test_words(parts(0.5)).verdict == 'finds animals'


@pytest.mark.parametrize('together', [True, False])
def test_frames_share_their_background(together):
    uses, not_used = (parts(share) for share in ((0.3, 0.2, 0.4), (0.02, 0.0, 0.05)))
    assert ('cross-encounter' in words.background_words(uses, together).text) == together
    assert 'cross-encounter' not in words.background_words(not_used, together).text


@pytest.mark.parametrize(
    ('change', 'verdict'),
    [
        ((0.1, 0.01, 0.2), 'finds more'),
        ((-0.1, -0.2, -0.01), 'finds less'),
        ((0.0, -0.1, 0.1), 'unclear'),
        (0.1, 'no interval'),
    ],
)
def test_animal(change, verdict):
    figure = figures(
        animal_of_mAP=(0.5, 0.4, 0.6),
        animal_of_rank1=(0.5, 0.4, 0.6),
        animal_share=(0.9, 0.8, 1.0),
        animal_minus_whole_of_mAP=change,
    )
    assert words.animal_words(figure).verdict == verdict


@pytest.mark.parametrize(
    ('first', 'verdict'),
    [
        ((0.95, 0.91, 0.99), 'ignores mirroring'),
        ((0.95, 0.89, 0.99), 'mostly ignores mirroring'),
        ((0.60, 0.49, 0.70), 'unclear'),
        ((0.40, 0.30, 0.49), 'sees mirroring'),
        (0.95, 'no interval'),
    ],
)
@pytest.mark.parametrize(
    ('closer', 'said', 'not_said'),
    [
        ((0.1, 0.01, 0.2), 'A mirror image is closer', 'Another photo'),
        ((-0.1, -0.2, -0.01), 'Another photo of the animal is closer', 'A mirror image is'),
        ((0.0, -0.1, 0.1), '', 'closer'),
    ],
)
def test_mirror(first, verdict, closer, said, not_said):
    similar = {'mirror': 0.9, 'same': 0.8, 'other': 0.2}
    found = words.mirror_words(figures(mirror_first=first, mirror_minus_same=closer, **similar))
    assert found.verdict == verdict
    if verdict != 'no interval':
        assert said in found.text and not_said not in found.text


@pytest.mark.parametrize(
    ('gain', 'verdict'),
    [((0.1, 0.01, 0.2), 'finds it'), ((0.1, -0.01, 0.2), 'unclear'), (0.1, 'no interval')],
)
def test_other_flank(gain, verdict):
    names = ('flank_of_mAP', 'flank_of_rank1', 'chance_of_mAP', 'usual_of_mAP', 'similarity')
    found = words.flank_words(
        figures(flank_minus_chance_of_mAP=gain, other=0.1, **dict.fromkeys(names, 0.3))
    )
    assert found.verdict == verdict
    assert words.flank_words({}).verdict == 'not examined'


@pytest.mark.parametrize(
    ('gain', 'verdict'),
    [((0.1, 0.01, 0.2), 'flatter'), ((0.1, -0.01, 0.2), 'unclear'), (0.1, 'no interval')],
)
def test_encounters(gain, verdict):
    names = ('together_of_mAP', 'together_of_rank1', 'apart_of_mAP', 'apart_of_rank1', 'nearest')
    found = words.encounter_words(
        figures(together_minus_apart_of_mAP=gain, **dict.fromkeys(names, 0.3))
    )
    assert found.verdict == verdict
    assert words.encounter_words({}).verdict == 'not examined'


@pytest.mark.parametrize(
    ('interval', 'verdict', 'text'),
    [
        ((0.11, 0.4), 'matters', 'Sharp photos are found less well'),
        ((-0.4, -0.11), 'matters', 'Sharp photos are found better'),
        ((-0.09, 0.09), 'hardly matters', 'It hardly matters'),
        ((0.01, 0.3), 'unclear', 'not settled'),
        ((-0.3, 0.05), 'unclear', 'not settled'),
        (None, 'no interval', 'nothing is claimed'),
    ],
)
def test_properties(interval, verdict, text):
    quarters = [{'photos': 30, 'mAP': Figure(0.5)}, {'photos': 10, 'mAP': Figure(0.3)}]
    found = words.property_words('blur', Figure(0.2, interval), quarters)
    assert found.verdict == verdict and text in found.text
    assert '(75 % of the photos) have mAP 50.0 %' in found.text and '(25 %) 30.0 %' in found.text
    one = words.property_words('blur', Figure(0.2, interval), quarters[:1])
    assert 'Nearly all photos are equal' in one.text and '50.0 %' not in one.text
    assert words.property_words('blur', Figure(float('nan')), []).verdict == 'not examined'
    equal = words.property_words('blur', Figure(float('nan')), [{'mAP': Figure(1.0)}])
    assert 'the same average precision, 100.0 %' in equal.text and 'nan' not in equal.text
