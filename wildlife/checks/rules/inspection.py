"""What the rules look at, and what they find."""

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
    """A record of one of the lists, ``split``."""

    split: str = ''

    @property
    def numbering(self) -> str:
        """Labels mean the same individual within one numbering: 'train' or 'test'."""
        return 'train' if self.split in ('train', 'validation') else 'test'


def _use(record: Record, split: str) -> Use:
    return Use(**{part.name: getattr(record, part.name) for part in fields(record)}, split=split)


class Item(TypedDict):
    """Photos to look at together: 'path', 'split' and, where known, 'label' and 'encounter'."""

    text: str
    photos: list[dict[str, str | int]]


def make_item(uses: Iterable[Use], text: str = '') -> Item:
    """Photos that belong together, and what to say of them."""
    photos: list[dict[str, str | int]] = []
    for use in uses:
        photo: dict[str, str | int] = {'path': use.path, 'split': use.split, 'label': use.pid}
        if use.encounter is not None:
            photo['encounter'] = use.encounter
        photos.append(photo)
    return {'text': text, 'photos': photos}


def counts_text(counts: Counter[str]) -> str:
    """'2 gallery, 1 query'."""
    return ', '.join(f'{number} {name}' for name, number in sorted(counts.items()))


@dataclass
class Finding:
    """What a rule found.

    Attributes:
        check: key of ``CHECKS``.
        count: of what ``text`` says; 0 = nothing found.
        text: one line with numbers.
        items: the photos to look at.
    """

    check: str
    count: int
    text: str
    items: list[Item] = field(default_factory=list)

    @property
    def level(self) -> str:
        return CHECKS[self.check].level

    @property
    def title(self) -> str:
        return CHECKS[self.check].title

    @property
    def meaning(self) -> str:
        return CHECKS[self.check].meaning

    def first_paths(self, count: int = 3) -> str:
        """' (a, b, c …)': where to look first; '' where no photo is named."""
        photos = [photo for item in self.items for photo in item['photos']]
        paths = list(dict.fromkeys(str(photo['path']) for photo in photos))
        if not paths:
            return ''
        more = ' …' if len(paths) > count else ''
        return f' ({", ".join(paths[:count])}{more})'


@dataclass(frozen=True)
class Limits:
    """What the user decides.

    Attributes:
        near: bits of 256 in which the hashes of nearly the same photos may differ.
        tiny: pixels; photos with a shorter side are too small.
        closed: whether the test is meant to show individuals of the train list.
    """

    near: int
    tiny: int
    closed: bool = False


class Inspection:
    """The lists and photos of a config, arranged for the rules.

    Attributes:
        content: path -> what files with the same bytes share, for ``datasets.checks``.
        by_path: path -> its uses.
        by_content: the same for files with the same bytes.
        gallery_is_known: whether all gallery photos are train or validation photos.
        closed: whether the test shows known individuals on purpose; true where the gallery does.
        held_out: splits that must have no photo of the train list.
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
        """Located records of some splits, those that the config has."""
        return [use for split in splits for use in self._uses.get(split, [])]
