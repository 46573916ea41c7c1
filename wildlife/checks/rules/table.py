"""What tools/check_data.py checks, how bad each thing is, and what it says of it."""

from typing import NamedTuple


class Rule(NamedTuple):
    """One check.

    Attributes:
        level: 'wrong' = training or its results would be; 'warning' = worth a look; 'note'.
        title: its name on the page and the terminal.
        meaning: what it means and what to do.
    """

    level: str
    title: str
    meaning: str


CHECKS = {
    'refused': Rule('wrong', 'Refused', 'Training or the test stops at once, with these words.'),
    'missing': Rule(
        'wrong',
        'Missing photos',
        'Bring them back, correct the paths, or take the lines out of the lists.',
    ),
    'unreadable': Rule(
        'wrong',
        'Unreadable photos',
        'Training stops when it comes to them: replace them, take their lines out, or set '
        'DATASETS.SKIP_BROKEN True.',
    ),
    'two_labels': Rule(
        'wrong',
        'One photo under two labels',
        'The same byte for byte: one of the labels must be wrong. Train and test number '
        'individuals apart; photos that are in both tell which label is whose.',
    ),
    'alike_two_labels': Rule(
        'wrong',
        'Nearly the same photo under two labels',
        'One of the labels is wrong; or a camera that stands still took two animals, then '
        'lower --near.',
    ),
    'leak': Rule(
        'wrong',
        'Train photos in validation or the test',
        'Results on them look better than they are: list each photo once.',
    ),
    'alike_leak': Rule(
        'wrong',
        'Nearly the same photo in train and in validation or the test',
        'Copies or moments of one burst: results on them look better than they are. Keep them'
        ' on one side.',
    ),
    'encounter_leak': Rule(
        'wrong',
        'One encounter in train and in the test',
        'Light, background and pose are the same, so memory is tested. Keep an encounter on '
        'one side.',
    ),
    'known': Rule(
        'wrong',
        'Train individuals in the test',
        'A test should show animals that were never trained on. Where it shows known ones on '
        'purpose (a closed set), say so with --closed.',
    ),
    'no_positive': Rule(
        'wrong',
        'No query has a right answer',
        "The test would stop: the gallery has no photo of any query's individual that the "
        'protocol lets count. Check the labels, or choose another DATASETS.PROTOCOL.',
    ),
    'itself': Rule(
        'wrong',
        'A protocol that does not fit query and gallery',
        'Where nothing is dropped, a query that is in the gallery finds itself and results '
        'look perfect; where the first of a ranking is dropped as the query itself, one that '
        'is not in the gallery loses its best answer. Choose another DATASETS.PROTOCOL.',
    ),
    'copies': Rule(
        'wrong',
        'Copies of queries in the gallery',
        'The same bytes under another name: a query finds its copy at once and results look '
        'better than they are. (Protocols in which a photo is never compared with itself '
        'ignore such copies.) List each photo once.',
    ),
    'skipped': Rule(
        'warning',
        'Missing photos, left out',
        'DATASETS.SKIP_MISSING is True: work goes on without them.',
    ),
    'broken_skipped': Rule(
        'warning',
        'Unreadable photos, skipped',
        'DATASETS.SKIP_BROKEN is True: work goes on without them.',
    ),
    'some_without_positive': Rule(
        'warning',
        'Queries without a right answer',
        'The protocol leaves nothing to be found for them.',
    ),
    'encounter_validation': Rule(
        'warning',
        'One encounter in train and in validation',
        'The best checkpoint is chosen by scenes that it was trained on.',
    ),
    'warned': Rule('warning', 'Warnings of training and the test', 'They say so when they start.'),
    'repeated': Rule(
        'warning',
        'Copies of one photo',
        'The same bytes twice for one individual: they weigh double.',
    ),
    'alike': Rule(
        'warning',
        'Nearly the same photo twice',
        'Copies of one individual, or a burst whose encounter the lists do not tell: they '
        'weigh double, and find each other at once. Encounters in the lists, protocol '
        'cross-encounter help.',
    ),
    'blank': Rule(
        'warning',
        'Blank photos',
        'All pixels are alike: nothing can be learned from them.',
    ),
    'tiny': Rule('warning', 'Tiny photos', 'Hardly a pattern can be seen on them.'),
    'rotated': Rule(
        'warning',
        'Photos that lie on their side',
        'Only their EXIF orientation sets them upright, and the loader does not apply it, as '
        'in the published method. tools/make_lists.py --prepare writes upright copies.',
    ),
    'transparent': Rule(
        'warning',
        'Photos with transparency',
        'The loader drops it: what it hides, say a background, comes back. Save them on black.',
    ),
    'squeezed': Rule(
        'warning',
        'Photos of another shape',
        'All are resized to INPUT.SIZE_TRAIN: choose one of about their shape.',
    ),
    'single': Rule(
        'warning',
        'Individuals with one photo',
        'The losses compare it with itself: add photos or leave them out.',
    ),
    'few': Rule(
        'warning',
        'Individuals with few photos',
        'Fewer than DATALOADER.NUM_INSTANCE: a batch has the same photo twice.',
    ),
    'imbalance': Rule(
        'warning',
        'Imbalance',
        'Individuals with many photos are seen most: thin out their bursts.',
    ),
    'closed': Rule(
        'note',
        'Known individuals',
        'The test asks for individuals that were trained on (a closed set).',
    ),
    'bursts': Rule(
        'note',
        'Bursts',
        'Photos of one individual in one encounter that are nearly the same: normal, counted only.',
    ),
    'modes': Rule('note', 'Not RGB', 'The loader makes RGB of them.'),
    'unchecked': Rule('note', 'Not checked', 'What needs these lists.'),
}
