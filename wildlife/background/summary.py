"""``DST/summary.json``: how the photos of a folder were made, and which of them are suspicious."""

import json
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.files import write_json

SUMMARY = 'summary.json'
EMPTY, FULL = 0.01, 0.99  # share of the photo that is animal: less, or more, is suspicious


class Summary:
    """The settings, the suspicious photos, and those that failed in this run, with the reasons.

    An earlier run with the same settings is resumed.

    Args:
        dst: folder of the photos without background.
        settings: what decides how they look.
        occupied: whether photos of these names are there already.

    Raises:
        InputError: they were made in another way.
    """

    def __init__(self, dst: Path, settings: dict[str, Any], occupied: bool) -> None:
        self.path, self.settings = dst / SUMMARY, settings
        self.suspicious: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        remedy = 'give another folder, or delete this one'
        if self.path.is_file():
            before, self.suspicious = _read_summary(self.path, remedy)
            keys = sorted({*before, *settings})
            if changed := [key for key in keys if before.get(key) != settings.get(key)]:
                raise InputError(
                    f'{dst}: its photos were made with {changed[0]} {before.get(changed[0])}, not '
                    f'{settings.get(changed[0])}; {remedy}'
                )
        elif occupied:
            raise InputError(
                f'{dst}: photos of these names are there, and no {SUMMARY} that says how they '
                f'were made; {remedy}'
            )

    def note(self, name: str, share: float) -> None:
        """Remember a photo if it is suspicious, before it is written: a killed run loses none.

        Args:
            name: of the photo, below DST.
            share: of it that is animal, 0 … 1.
        """
        before = self.suspicious.pop(name, None)
        if share < EMPTY or share > FULL:
            self.suspicious[name] = {
                'mask': 'empty' if share < EMPTY else 'full',
                'share': round(float(share), 4),
            }
        if self.suspicious.get(name) != before:
            self.save()

    def note_failed(self, name: str, error: InputError) -> None:
        """Remember a photo that could not be done."""
        self.failed[name] = ' '.join(str(error).split())
        self.save()

    def save(self) -> None:
        """Write the file."""
        write_json(
            self.path,
            {
                'settings': self.settings,
                'suspicious': dict(sorted(self.suspicious.items())),
                'failed': self.failed,
            },
        )


def _read_summary(path: Path, remedy: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings, suspicious) of an earlier run."""
    try:
        earlier = json.loads(path.read_text(encoding='utf-8'))
        parts = earlier['settings'], earlier['suspicious']
        if all(isinstance(part, dict) for part in (*parts, *parts[1].values())):
            return parts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InputError(f'{path} is no summary of this tool; {remedy}')
