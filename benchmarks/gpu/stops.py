"""Parts that start, stop and kill trainings in other processes: resuming, and two processes.

A part is a function of (settings, folder) that returns a ``Finding``. ``folder`` is an empty folder
for its files.
"""

import contextlib
import functools
import hashlib
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.core import Facts, Settings
from benchmarks.gpu.findings import Finding
from benchmarks.gpu.trainings import (
    Process,
    demo_arguments,
    end,
    epochs,
    finish,
    output_of,
    stage2_epochs,
    start,
    start_two,
    wait_for,
)
from utils.checkpoint import load_state

EQUAL_LOSS = 1e-2  # largest relative difference between the loss of one process and of two


def deterministic(settings: Settings, folder: Path) -> Finding:
    """Check that three deterministic trainings end with the same weights.

    Two run to the end; the third is stopped by SIGTERM and resumed with --resume.
    """
    options = [
        *('SOLVER.DETERMINISTIC', True),
        *('TEST.RE_RANKING', True),
        *('SOLVER.STAGE2.LOG_PERIOD', 1),
        *(epochs(1, 8) if settings.quick else epochs(2, 6)),
    ]
    arguments = functools.partial(demo_arguments, settings, folder)
    one, two, stopped = (arguments(name, *options) for name in ('one', 'two', 'stopped'))
    for words in (one, two):
        finish(start(words), words)
    process = start(stopped)
    wait_for(lambda: stage2_epochs(stopped), process)
    process.send_signal(signal.SIGTERM)
    code, _ = end(process)
    stopped_at = len(stage2_epochs(stopped))
    finish(start([*stopped, '--resume']), stopped)

    wrong = []
    if code != 128 + signal.SIGTERM:
        wrong.append(f'after SIGTERM the exit code is {code} instead of {128 + signal.SIGTERM}')
    hashes = [hash_of_weights(output_of(words)) for words in (one, two, stopped)]
    if hashes[0] != hashes[1]:
        wrong.append('two equal trainings give different weights')
    if hashes[2] != hashes[0]:
        wrong.append('the resumed training gives different weights')
    text = (
        f'two trainings, and one stopped in epoch {stopped_at + 1} and resumed; hashes of their '
        f'weights: {", ".join(hashes)}'
    )
    return Finding(text, {'hashes': hashes, 'exit_code': code}, wrong)


def hash_of_weights(output: Path) -> str:
    """Return a hash of eight digits of the tensors in the last checkpoint of OUTPUT_DIR."""
    state = load_state(max(output.glob('RN50_[0-9]*.pth'), key=lambda path: path.stat().st_mtime))
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def processes(settings: Settings, folder: Path) -> Finding:
    """Check trainings with two processes, each with its own device.

    With SYNC_BN their loss must equal that of one process. If one of them is killed or runs out of
    memory, the other must end as well.
    """
    sync_bn = not settings.on_cpu  # torch does not support it on the CPU
    arguments = functools.partial(demo_arguments, settings, folder)
    together = 'MODEL.DIST_TRAIN', True, 'MODEL.SYNC_BN', sync_bn, 'SOLVER.AMP', 'off'
    wrong = []

    losses = _losses(
        arguments('one', 'SOLVER.AMP', 'off', *epochs(1, 1)),
        arguments('both', *together, *epochs(1, 1)),
    )
    if sync_bn and not abs(losses[1] - losses[0]) <= EQUAL_LOSS * losses[0]:
        wrong.append(f'the loss is {losses[1]:.4f} with two processes, {losses[0]:.4f} with one')

    code, line, seconds = _kill_one(arguments('killed', *together, *epochs(1, 500)))
    if code not in (2, -signal.SIGKILL):  # torchrun would kill it too
        wrong.append(f'after one process was killed, the other ended with exit code {code}')

    starved = _starve_one(settings, arguments('memory', *together, *epochs(1, 500)))
    if any(code != 2 or 'out of memory' not in last for code, last in starved):
        wrong.append(f'when rank 1 ran out of memory, the processes ended with {starved}')

    ends = ' and '.join(f'"{last}"' for _, last in starved)
    text = (
        f'loss {losses[1]:.4f} with two processes, {losses[0]:.4f} with one; after one is killed, '
        f'the other ends after {seconds:.0f} s with {code}, "{line}"; after one runs out of '
        f'memory: {ends or "not tried"}'
    )
    facts: Facts = {'losses': losses, 'killed': (code, line, seconds), 'memory': starved}
    return Finding(text, facts, wrong)


def _losses(alone: Sequence[str], shared: Sequence[str]) -> tuple[float, float]:
    """Return the loss of the last epoch with one process, and with two."""
    finish(start(alone), alone)
    for process in start_two(shared):
        finish(process, shared)
    return stage2_epochs(alone)[-1]['loss'], stage2_epochs(shared)[-1]['loss']


def _kill_one(arguments: Sequence[str]) -> tuple[int, str, float]:
    """Kill one of two processes in stage 2; return code, last line and seconds of the other."""
    survivor, victim = start_two(arguments)
    wait_for(lambda: stage2_epochs(arguments), survivor)
    victim.kill()
    end(victim)
    return end_alone(survivor)


def end_alone(process: Process) -> tuple[int, str, float]:
    """Return exit code, last line of stderr and seconds of a process whose partner was killed.

    If it does not end by itself, it is ended in the way of torchrun: with SIGTERM, and with SIGKILL
    half a minute later.
    """
    begin = time.monotonic()
    for patience, number in ((15, signal.SIGTERM), (30, signal.SIGKILL)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
        process.send_signal(number)
    return *end(process), time.monotonic() - begin


def _starve_one(settings: Settings, arguments: Sequence[str]) -> list[tuple[int, str]]:
    """Return exit codes and last lines of two processes of which rank 1 has no memory.

    The result is empty on the CPU, whose memory cannot be limited.
    """
    if settings.on_cpu:
        return []
    return [end(process) for process in start_two(arguments, starved=1)]
