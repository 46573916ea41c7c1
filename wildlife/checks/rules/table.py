"""The checks of tools/check_data.py, their levels and explanations."""

from typing import NamedTuple


class Rule(NamedTuple):
    """One check.

    Attributes:
        level: 'wrong' = training or its results would be wrong; 'warning' = worth a look;
            'note' = for information.
        title: Name of the check on the page and in the terminal.
        meaning: What a finding means and what to do.
    """

    level: str
    title: str
    meaning: str


CHECKS = {
    'refused': Rule(
        'wrong',
        'Rejected lists or settings',
        'Training or the test would stop immediately with this error.',
    ),
    'missing': Rule(
        'wrong',
        'Missing photos',
        'Restore them, correct the paths, or remove their lines from the lists.',
    ),
    'unreadable': Rule(
        'wrong',
        'Unreadable photos',
        'Training stops when it reads one of them. Replace them, remove their lines from the '
        'lists, or set DATASETS.SKIP_BROKEN to True.',
    ),
    'two_labels': Rule(
        'wrong',
        'One photo under two labels',
        'The files are identical, so one of the labels must be wrong. Training and the test '
        'number individuals independently; photos in both show which labels belong together.',
    ),
    'alike_two_labels': Rule(
        'wrong',
        'Near-duplicates under two labels',
        'One of the labels is wrong, or a fixed camera photographed two animals. In the second '
        'case lower --near.',
    ),
    'leak': Rule(
        'wrong',
        'Train photos in validation or the test',
        'Results on these photos look better than they are. List each photo only once.',
    ),
    'alike_leak': Rule(
        'wrong',
        'Near-duplicates in train and in validation or the test',
        'They are copies or photos of one burst, and results on them look better than they are. '
        'Keep them in one split.',
    ),
    'encounter_leak': Rule(
        'wrong',
        'One encounter in train and in the test',
        'Light, background and pose are the same, so the model can recognise the scene instead '
        'of the animal. Keep each encounter in one split.',
    ),
    'known': Rule(
        'wrong',
        'Train individuals in the test',
        'A test should contain only animals that are not in training. If it contains known ones '
        'on purpose (a closed set), add --closed.',
    ),
    'no_positive': Rule(
        'wrong',
        'No query has a match in the gallery',
        'The test would stop: under the protocol no query has a photo of the same individual in '
        'the gallery. Check the labels, or choose another DATASETS.PROTOCOL.',
    ),
    'itself': Rule(
        'wrong',
        'A protocol that does not suit query and gallery',
        'If the protocol ignores nothing, a query that is in the gallery finds itself and results '
        'look perfect. If the protocol drops the nearest photo as the query itself, a query that '
        'is not in the gallery loses its best result. Choose another DATASETS.PROTOCOL.',
    ),
    'copies': Rule(
        'wrong',
        'Copies of queries in the gallery',
        'Identical files under different names: the query finds its copy first, so results look '
        'better than they are. (Protocols in which a photo is never compared with itself ignore '
        'such copies.) List each photo only once.',
    ),
    'skipped': Rule(
        'warning',
        'Missing photos, skipped',
        'DATASETS.SKIP_MISSING is True: training and the test skip them.',
    ),
    'broken_skipped': Rule(
        'warning',
        'Unreadable photos, skipped',
        'DATASETS.SKIP_BROKEN is True: training and the test skip them.',
    ),
    'some_without_positive': Rule(
        'warning',
        'Queries without a match in the gallery',
        'Under the protocol the gallery has no photo of their individuals.',
    ),
    'encounter_validation': Rule(
        'warning',
        'One encounter in train and in validation',
        'The best checkpoint is chosen by scenes that are in training.',
    ),
    'warned': Rule(
        'warning',
        'Warnings of training and the test',
        'Training or the test log these warnings when they start.',
    ),
    'repeated': Rule(
        'warning',
        'Copies of one photo',
        'One individual has identical files, and these count twice.',
    ),
    'alike': Rule(
        'warning',
        'Near-duplicates',
        'They are copies, or photos of a burst whose encounter the lists do not give. They count '
        'twice and find each other first. Add encounters to the lists and use protocol '
        'cross-encounter.',
    ),
    'blank': Rule(
        'warning',
        'Blank photos',
        'All pixels are equal, so nothing can be learned from them.',
    ),
    'tiny': Rule('warning', 'Tiny photos', 'The pattern of the animal is hardly visible.'),
    'rotated': Rule(
        'warning',
        'Rotated photos',
        'Their EXIF orientation says how to rotate or mirror them, but the loader does not apply '
        'it, as in the published method. python -m tools.make_lists makes upright copies.',
    ),
    'transparent': Rule(
        'warning',
        'Photos with transparency',
        'The loader ignores transparency, so hidden parts, for example a removed background, '
        'become visible. Save these photos on a black background.',
    ),
    'squeezed': Rule(
        'warning',
        'Photos of another shape',
        'All photos are resized to INPUT.SIZE_TRAIN. Choose a size of about their shape.',
    ),
    'single': Rule(
        'warning',
        'Individuals with one photo',
        'The losses compare this photo with itself. Add photos, or remove these individuals.',
    ),
    'few': Rule(
        'warning',
        'Individuals with few photos',
        'They have fewer than DATALOADER.NUM_INSTANCE, so batches repeat photos.',
    ),
    'imbalance': Rule(
        'warning',
        'Imbalance',
        'Individuals with many photos dominate training. Remove some photos of their bursts.',
    ),
    'closed': Rule(
        'note',
        'Known individuals',
        'The test contains individuals that are in training (a closed set).',
    ),
    'bursts': Rule(
        'note',
        'Bursts',
        'Near-duplicates of one individual within one encounter. They are normal and only counted.',
    ),
    'modes': Rule('note', 'Not RGB', 'The loader converts them to RGB.'),
    'unchecked': Rule('note', 'Not checked', 'Checks that need these lists were skipped.'),
}
