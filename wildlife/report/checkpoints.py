"""The checkpoints in the folder of a training run, with their checksums and validation."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from model.names import file_stem
from utils.files import sha256_file
from wildlife.report.events import read_events

CLOCKS = 2.0  # seconds by which the clocks of this machine and of the disk may differ


def list_checkpoints(
    folder: Path,
    model: str,
    tests: Iterable[Mapping[str, Any]],
    known: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """List the checkpoints of a folder.

    Args:
        folder: The OUTPUT_DIR of a training.
        model: MODEL.NAME; names of checkpoints begin with it.
        tests: Tests whose checkpoints are listed too, whatever their names are.
        known: Checkpoints listed earlier. The SHA-256 of unchanged files is not computed again.

    Returns:
        For each file, in the order of the training: 'file'; 'stage' and 'epoch', None if unknown;
        'sha256'; 'bytes'; 'modified' (ns since 1970); 'validation_mAP', None without a validation
        of its epoch; 'this_run', False if it is older than the run that the folder describes.
    """
    earlier = {(c['file'], c['bytes'], c['modified']): c['sha256'] for c in known}
    events = read_events(folder)
    started = min((event['time'] for event in events), default=0.0) - CLOCKS
    scores = {e['epoch']: e['mAP'] for e in events if e['event'] == 'validation'}
    tested = {test['checkpoint'] for test in tests}
    found = []
    for path in sorted(folder.iterdir()):
        position = position_of(path.name, model, scores)
        if position is None and path.name not in tested:
            continue
        with suppress(FileNotFoundError):  # removed at this moment
            status = path.stat()
            identity = (path.name, status.st_size, status.st_mtime_ns)
            stage, epoch = position or (None, None)
            ours = status.st_mtime >= started
            facts = dict(zip(('file', 'bytes', 'modified'), identity, strict=True))
            facts |= {'stage': stage, 'epoch': epoch, 'this_run': ours}
            facts['sha256'] = earlier.get(identity) or sha256_file(path)
            facts['validation_mAP'] = scores.get(epoch) if ours and stage == 2 else None
            found.append(facts)
    return sorted(found, key=lambda c: (c['stage'] or 3, c['epoch'] or 0, c['file']))


def position_of(
    name: str, model: str, scores: Mapping[int, float]
) -> tuple[int, int | None] | None:
    """Return (stage, epoch) of a checkpoint by its name, None if it is not one.

    Args:
        name: The file name.
        model: MODEL.NAME.
        scores: Epoch -> validation mAP; the best one, the first of equals, is that of ``_best``.
    """
    prefix = re.escape(file_stem(model))
    match = re.fullmatch(rf'{prefix}_(stage1_)?(\d+|best)\.(pth|safetensors)', name)
    if match is None or match[1] and match[2] == 'best':
        return None
    if match[2] == 'best':
        return 2, max(scores, key=lambda epoch: scores[epoch], default=None)
    return (1 if match[1] else 2), int(match[2])
