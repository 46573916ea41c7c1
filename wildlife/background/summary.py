"""``DST/summary.json``: the settings of a run, and its suspicious and failed photos."""

import json
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.files import write_json

SUMMARY = 'summary.json'
EMPTY, FULL = 0.01, 0.99  # a photo is suspicious if the animal covers a share outside this range


class Summary:
    """Settings, suspicious photos, and the photos that failed in this run with their errors.

    An earlier run with the same settings is resumed.

    Args:
        dst: Folder of the photos without background.
        settings: Settings that determine the results.
        occupied: Whether ``dst`` already contains photos with the names of the results.

    Raises:
        InputError: If the photos in ``dst`` were made with other settings.
    """

    def __init__(self, dst: Path, settings: dict[str, Any], occupied: bool) -> None:
        self.path, self.settings = dst / SUMMARY, settings
        self.suspicious: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        remedy = 'give another folder as DST, or delete this one'
        if self.path.is_file():
            before, self.suspicious = _read_summary(self.path, remedy)
            keys = sorted({*before, *settings})
            if changed := [key for key in keys if before.get(key) != settings.get(key)]:
                raise InputError(
                    f'{dst}: its photos were made with {changed[0]} {before.get(changed[0])}, not '
                    f'with {settings.get(changed[0])}; {remedy}'
                )
        elif occupied:
            raise InputError(
                f'{dst}: contains photos with the names of the results, but no {SUMMARY} that '
                f'says how they were made; {remedy}'
            )

    def note(self, name: str, share: float) -> None:
        """Record a photo if it is suspicious.

        Call this before the photo is written, so that an interrupted run loses no record.

        Args:
            name: Path of the photo relative to DST.
            share: Share of the photo that the animal covers, 0 … 1.
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
        """Record a photo that failed."""
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
    """Return (settings, suspicious) of an earlier run."""
    try:
        earlier = json.loads(path.read_text(encoding='utf-8'))
        parts = earlier['settings'], earlier['suspicious']
        if all(isinstance(part, dict) for part in (*parts, *parts[1].values())):
            return parts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InputError(f'{path} is not a summary of this tool; {remedy}')
