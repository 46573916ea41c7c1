"""The input and output of the rules: an inspection and findings."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypedDict

from yacs.config import CfgNode

from datasets.checks import is_closed_set
from datasets.records import Record
from wildlife.checks.lists import Lists
from wildlife.checks.photos import Photo
from wildlife.checks.rules.table import CHECKS


@dataclass(frozen=True, slots=True)
class Use(Record):
    """A record of one list; ``split`` names the list."""

    split: str = ''

    @property
    def numbering(self) -> str:
        """'train' or 'test': labels are comparable only within one numbering."""
        return 'train' if self.split in ('train', 'validation') else 'test'


def _use(record: Record, split: str) -> Use:
    return Use(**{part.name: getattr(record, part.name) for part in fields(record)}, split=split)


class Item(TypedDict):
    """Photos to look at together, as dicts of 'path', 'split' and, if known, more keys.

    These keys are 'label' and 'encounter'.
    """

    text: str
    photos: list[dict[str, str | int]]


def make_item(uses: Iterable[Use], text: str = '') -> Item:
    """Return an item: photos that belong together, and a text about them."""
    photos: list[dict[str, str | int]] = []
    for use in uses:
        photo: dict[str, str | int] = {'path': use.path, 'split': use.split, 'label': use.pid}
        if use.encounter is not None:
            photo['encounter'] = use.encounter
        photos.append(photo)
    return {'text': text, 'photos': photos}


def counts_text(counts: Counter[str]) -> str:
    """Format counts, for example '2 gallery, 1 query'."""
    return ', '.join(f'{number} {name}' for name, number in sorted(counts.items()))


@dataclass
class Finding:
    """A finding of a rule.

    Attributes:
        check: Key of ``CHECKS``.
        count: Number of the things that ``text`` describes; 0 = nothing found.
        text: One line with numbers.
        items: Photos to look at.
    """

    check: str
    count: int
    text: str
    items: list[Item] = field(default_factory=list)

    @property
    def level(self) -> str:
        """'wrong', 'warning' or 'note'."""
        return CHECKS[self.check].level

    @property
    def title(self) -> str:
        """Name of the check on the page and in the terminal."""
        return CHECKS[self.check].title

    @property
    def meaning(self) -> str:
        """What the finding means and what to do."""
        return CHECKS[self.check].meaning

    def first_paths(self, count: int = 3) -> str:
        """Return the first paths as ' (a, b, c …)', or '' if the finding names no photo."""
        photos = [photo for item in self.items for photo in item['photos']]
        paths = list(dict.fromkeys(str(photo['path']) for photo in photos))
        if not paths:
            return ''
        more = ' …' if len(paths) > count else ''
        return f' ({", ".join(paths[:count])}{more})'


@dataclass(frozen=True)
class Limits:
    """Limits that the user sets.

    Attributes:
        near: Number of the 256 bits in which the hashes of near-duplicates may differ.
        tiny: Least number of pixels of the shorter side; smaller photos are reported.
        closed: Whether the test contains individuals of the train list on purpose.
    """

    near: int
    tiny: int
    closed: bool = False


class Inspection:
    """The lists and photos of a config, arranged for the rules.

    Attributes:
        content: Path -> key that files with the same bytes share, for ``datasets.checks``.
        by_path: Path -> uses of the photo.
        by_content: Content key -> uses of all files with these bytes.
        gallery_is_known: Whether all gallery photos are train or validation photos.
        closed: Whether the test contains known individuals on purpose; always true if
            ``gallery_is_known``.
        held_out: Splits that must not contain a photo of the train list.
    """

    def __init__(
        self, lists: Lists, photos: Mapping[str, Photo], cfg: CfgNode, limits: Limits
    ) -> None:
        self.lists, self.photos, self.cfg, self.limits = lists, photos, cfg, limits
        self.content = {path: photo.content for path, photo in photos.items()}
        self._uses: dict[str, list[Use]] = {}
        self.by_path: dict[str, list[Use]] = defaultdict(list)
        self.by_content: dict[str, list[Use]] = defaultdict(list)
        for split, records in lists.splits.items():
            self._uses[split] = [_use(record, split) for record in records]
            for use in self._uses[split]:
                self.by_path[use.path].append(use)
                self.by_content[self.content[use.path]].append(use)
        known = self.uses('train', 'validation')
        self.gallery_is_known = is_closed_set(known, self.uses('gallery'), self.content)
        self.closed = limits.closed or self.gallery_is_known
        held_out = ['validation', 'query']
        if not self.gallery_is_known:
            held_out.append('gallery')
        self.held_out = [split for split in lists.splits if split in held_out]

    def uses(self, *splits: str) -> list[Use]:
        """Return the located records of these splits; a split that the config lacks is empty."""
        return [use for split in splits for use in self._uses.get(split, [])]
