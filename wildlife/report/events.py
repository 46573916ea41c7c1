"""Reads metrics.jsonl, the numbers of a training."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

OF_EPOCHS = ('stage1_epoch', 'stage2_epoch', 'validation')  # events that have an epoch
DAMAGE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl; none if there is no such file; damaged lines are skipped.

    Every event has 'event' and 'time'; those of :data:`OF_EPOCHS` also have 'epoch', and a
    validation has 'mAP'.

    Args:
        folder: The OUTPUT_DIR of a training.
    """
    events = []
    with suppress(OSError):
        for line in (folder / 'metrics.jsonl').read_bytes().splitlines():
            with suppress(*DAMAGE):
                events.append(_checked(json.loads(line)))
    return events


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with the types that it should have; anything else raises an error."""
    event |= {'event': str(event['event']), 'time': float(event['time'])}
    if event['event'] in OF_EPOCHS:
        event['epoch'] = int(event['epoch'])
    if event['event'] == 'validation':
        event['mAP'] = float(event['mAP'])
    return event
