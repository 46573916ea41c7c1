"""What tools/check_data.py checks, how bad each thing is, and what it says of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

# check: (level, title, what it means and what to do)
# wrong = training or its results would be; warning = worth a look; note = so it is.
CHECKS = {
    'refused': ('wrong', 'Refused', 'Training or the test stops at once, with these words.'),
    'missing': (
        'wrong',
        'Missing photos',
        'Bring them back, correct the paths, or take the lines out of the lists.',
    ),
    'unreadable': (
        'wrong',
        'Unreadable photos',
        'Training stops when it comes to them: replace them, take their lines out, or '
        'set DATASETS.SKIP_BROKEN True.',
    ),
    'two_labels': (
        'wrong',
        'One photo under two labels',
        'The same byte for byte: one of the labels must be wrong. Train and '
        'test number individuals apart; photos that are in both tell which label is whose.',
    ),
    'alike_two_labels': (
        'wrong',
        'Nearly the same photo under two labels',
        (
            'One of the labels is wrong; or a camera that stands still took two animals, then '
            'lower '
            '--near.'
        ),
    ),
    'leak': (
        'wrong',
        'Train photos in validation or the test',
        'Results on them look better than they are: list each photo once.',
    ),
    'alike_leak': (
        'wrong',
        'Nearly the same photo in train and in validation or the test',
        (
            'Copies or moments of one burst: results on them look better than they are. Keep '
            'them on '
            'one side.'
        ),
    ),
    'encounter_leak': (
        'wrong',
        'One encounter in train and in the test',
        (
            'Light, background and pose are the same, so memory is tested. Keep an encounter on '
            'one '
            'side.'
        ),
    ),
    'known': (
        'wrong',
        'Train individuals in the test',
        'A test should show animals that were never trained on. Where it shows '
        'known ones on purpose (a closed set), say so with --closed.',
    ),
    'no_positive': (
        'wrong',
        'No query has a right answer',
        "The test would stop: the gallery has no photo of any query's "
        'individual that the protocol lets count. Check the labels, or choose another '
        'DATASETS.PROTOCOL.',
    ),
    'itself': (
        'wrong',
        'A protocol that does not fit query and gallery',
        'Where nothing is dropped, a query that is in the '
        'gallery finds itself and results look perfect; where the first of a ranking is dropped '
        'as the query itself, '
        'one that is not in the gallery loses its best answer. Choose another DATASETS.PROTOCOL.',
    ),
    'copies': (
        'wrong',
        'Copies of queries in the gallery',
        'The same bytes under another name: a query finds its copy at once '
        'and results look better than they are. (Protocols in which a photo is never compared '
        'with itself ignore such '
        'copies.) List each photo once.',
    ),
    'skipped': (
        'warning',
        'Missing photos, left out',
        'DATASETS.SKIP_MISSING is True: work goes on without them.',
    ),
    'broken_skipped': (
        'warning',
        'Unreadable photos, skipped',
        'DATASETS.SKIP_BROKEN is True: work goes on without them.',
    ),
    'some_without_positive': (
        'warning',
        'Queries without a right answer',
        'The protocol leaves nothing to be found for them.',
    ),
    'encounter_validation': (
        'warning',
        'One encounter in train and in validation',
        'The best checkpoint is chosen by scenes that it was trained on.',
    ),
    'warned': ('warning', 'Warnings of training and the test', 'They say so when they start.'),
    'repeated': (
        'warning',
        'Copies of one photo',
        'The same bytes twice for one individual: they weigh double.',
    ),
    'alike': (
        'warning',
        'Nearly the same photo twice',
        'Copies of one individual, or a burst whose encounter the lists do not '
        'tell: they weigh double, and find each other at once. Encounters in the lists, protocol '
        'cross-encounter help.',
    ),
    'blank': ('warning', 'Blank photos', 'All pixels are alike: nothing can be learned from them.'),
    'tiny': ('warning', 'Tiny photos', 'Hardly a pattern can be seen on them.'),
    'rotated': (
        'warning',
        'Photos that lie on their side',
        'Only their EXIF orientation sets them upright, and the loader '
        'does not apply it, as in the published method. tools/make_lists.py --prepare writes '
        'upright copies.',
    ),
    'transparent': (
        'warning',
        'Photos with transparency',
        'The loader drops it: what it hides, say a background, comes back. Save them on black.',
    ),
    'squeezed': (
        'warning',
        'Photos of another shape',
        'All are resized to INPUT.SIZE_TRAIN: choose one of about their shape.',
    ),
    'single': (
        'warning',
        'Individuals with one photo',
        'The losses compare it with itself: add photos or leave them out.',
    ),
    'few': (
        'warning',
        'Individuals with few photos',
        'Fewer than DATALOADER.NUM_INSTANCE: a batch has the same photo twice.',
    ),
    'imbalance': (
        'warning',
        'Imbalance',
        'Individuals with many photos are seen most: thin out their bursts.',
    ),
    'closed': (
        'note',
        'Known individuals',
        'The test asks for individuals that were trained on (a closed set).',
    ),
    'bursts': (
        'note',
        'Bursts',
        'Photos of one individual in one encounter that are nearly the same: normal, counted only.',
    ),
    'modes': ('note', 'Not RGB', 'The loader makes RGB of them.'),
    'unchecked': ('note', 'Not checked', 'What needs these lists.'),
}


class Use(NamedTuple):
    """A line of a list: a photo as somebody."""

    path: str
    split: str
    pid: int
    encounter: int | None = None

    @property
    def numbering(self):
        """A label says the same within one of these."""
        return 'train' if self.split in ('train', 'validation') else 'test'


@dataclass
class Finding:
    """What a check found.

    count: of what ``text`` says, a line with numbers; 0 = nothing found. items: what to look at,
    each {'text', 'photos': [{'path', 'split', 'label', 'encounter'}]}, the last two where known.
    """

    check: str
    count: int
    text: str
    items: list = field(default_factory=list)

    level = property(lambda self: CHECKS[self.check][0])
    title = property(lambda self: CHECKS[self.check][1])
    meaning = property(lambda self: CHECKS[self.check][2])

    def first_paths(self, count=3):
        """' (a, b, c …)': where to look first; '' where no photo is named."""
        paths = list(
            dict.fromkeys(photo['path'] for entry in self.items for photo in entry['photos'])
        )
        return f' ({", ".join(paths[:count])}{" …" if len(paths) > count else ""})' if paths else ''


def item(uses, text=''):
    """An item of a ``Finding``: photos that belong together, and what to say of them."""
    return {
        'text': text,
        'photos': [
            {
                'path': use.path,
                'split': use.split,
                'label': use.pid,
                **({} if use.encounter is None else {'encounter': use.encounter}),
            }
            for use in uses
        ],
    }
