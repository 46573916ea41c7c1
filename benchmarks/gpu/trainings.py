"""Trainings for the parts: their command lines, and running them here or in other processes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import train_clipreid
from benchmarks.core import Facts, Settings
from benchmarks.inputs import INDIVIDUALS, ROOT, YML, make_demo_data, write_species

DEMO = ROOT / 'configs/demo/cnn_clipreid.yml'
TOY_INDIVIDUALS = (8, 4)  # animals of the demo in a rehearsal
PHOTOS = 18  # per individual: 1,926 in total; the train list of ATRW has 1,887
TIMEOUT = 120  # seconds to wait for a process

Process = subprocess.Popen[str]

# Command lines


def demo_arguments(settings: Settings, folder: Path, output: str, *opts: object) -> list[str]:
    """Return the command line of a training on the animals of the demo.

    Args:
        settings: Device and seed; with ``quick`` there are fewer animals.
        folder: Folder of the animals, which are drawn if they are missing.
        output: Name of OUTPUT_DIR in this folder.
        opts: Further KEY VALUE pairs.
    """
    data, marker = folder / 'data', folder / 'data.json'
    if not marker.exists():
        individuals = TOY_INDIVIDUALS if settings.quick else None
        pairs = make_demo_data(data, settings.seed, individuals)
        marker.write_text(json.dumps(pairs), encoding='utf-8')
    words: list[object] = [
        *json.loads(marker.read_text(encoding='utf-8')),
        *('MODEL.DEVICE', settings.device.type),
        *('OUTPUT_DIR', folder / output),
        *('SOLVER.STAGE2.CHECKPOINT_PERIOD', 1000),
        *('SOLVER.STAGE2.EVAL_PERIOD', 1000),
    ]
    if settings.quick:
        words += ['DATALOADER.NUM_WORKERS', 0]
    return ['--config_file', str(DEMO), *map(str, words), *map(str, opts)]


def tiger_arguments(name: str, settings: Settings, folder: Path, *opts: object) -> list[str]:
    """Return the command line of a short training with the tiger settings and random weights.

    It has one epoch of stage 1 and three of stage 2.

    Args:
        name: 'RN50' or 'ViT'.
        settings: Device, seed and options; with ``quick`` there are fewer photos.
        folder: Folder for generated photos, about as many as in ATRW and most of them copies.
        opts: Further KEY VALUE pairs.
    """
    individuals, photos = (8, 4) if settings.quick else (INDIVIDUALS, PHOTOS)
    words: list[object] = [
        *write_species(folder, individuals, photos, settings.seed, drawn=1),
        *('MODEL.DEVICE', settings.device.type),
        *('MODEL.PRETRAIN_CHOICE', 'random'),
        *('DATASETS.VAL_LIST', ''),
        *('OUTPUT_DIR', folder / 'output'),
        *epochs(1, 3),
    ]
    if settings.quick:
        words += [
            *('SOLVER.STAGE1.IMS_PER_BATCH', 16),
            *('SOLVER.STAGE2.IMS_PER_BATCH', 16),
            *('DATALOADER.NUM_WORKERS', 0),
        ]
    return ['--config_file', str(ROOT / YML[name]), *map(str, (*words, *settings.options, *opts))]


def epochs(one: int, two: int) -> tuple[object, ...]:
    """Return the options for these numbers of epochs in stages 1 and 2."""
    return 'SOLVER.STAGE1.MAX_EPOCHS', one, 'SOLVER.STAGE2.MAX_EPOCHS', two


# In this process


def train(arguments: Sequence[str]) -> list[Facts]:
    """Train in this process; return the dicts in metrics.jsonl."""
    train_clipreid.main(list(arguments))
    return metrics(output_of(arguments))


def output_of(arguments: Sequence[str]) -> Path:
    """Return the OUTPUT_DIR of a command line."""
    return Path(arguments[arguments.index('OUTPUT_DIR') + 1])


def metrics(folder: Path) -> list[Facts]:
    """Return the dicts written to metrics.jsonl so far."""
    try:
        lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith('}')]


def of_event(lines: Sequence[Facts], event: str) -> list[Facts]:
    """Return the lines of one event, such as 'stage1_epoch' or 'stage2_epoch'."""
    return [line for line in lines if line['event'] == event]


def stage2_epochs(arguments: Sequence[str]) -> list[Facts]:
    """Return the epochs of stage 2 that a training has logged so far."""
    return of_event(metrics(output_of(arguments)), 'stage2_epoch')


def limit_memory(device: torch.device, gigabytes: float) -> None:
    """Limit the device memory of this process, in 10⁹ bytes; this does nothing on the CPU."""
    if device.type != 'cpu':
        backend = torch.get_device_module(device)
        share = gigabytes * 1e9 / backend.get_device_properties(device).total_memory
        backend.set_per_process_memory_fraction(min(1.0, share), device.index or 0)


def starve(arguments: Sequence[str]) -> None:
    """Train with hardly any device memory; ``start(starved=True)`` runs this."""
    name = arguments[arguments.index('MODEL.DEVICE') + 1]
    limit_memory(torch.device(name, int(os.environ['LOCAL_RANK'])), 1e-3)
    train_clipreid.main(list(arguments))


# In other processes


def start(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, starved: bool = False
) -> Process:
    """Start a training in another process.

    Args:
        arguments: Command line of the training.
        variables: Further environment variables.
        starved: Whether it gets hardly any memory on its device.
    """
    program = ['-m', 'benchmarks.gpu', '--starve'] if starved else [str(ROOT / 'train_clipreid.py')]
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding='utf-8',
        errors='replace',
    )


def start_two(arguments: Sequence[str], starved: int | None = None) -> list[Process]:
    """Start two processes as torchrun does; the rank ``starved`` gets hardly any memory."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        variables = {
            'WORLD_SIZE': '2',
            'LOCAL_WORLD_SIZE': '2',
            'MASTER_ADDR': '127.0.0.1',
            'MASTER_PORT': str(port),
            'RANK': str(rank),
            'LOCAL_RANK': str(rank),
        }
        processes.append(start(arguments, variables, starved == rank))
    return processes


def end(process: Process) -> tuple[int, str]:
    """Return exit code and last line of stderr; kill the process if it takes too long."""
    try:
        _, errors = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        errors += f'\nkilled after {TIMEOUT} s'
    return process.returncode, (errors.strip().splitlines() or [''])[-1]


def finish(process: Process, arguments: Sequence[str]) -> None:
    """Wait until a training has ended.

    Raises:
        RuntimeError: If it failed.
    """
    code, line = end(process)
    if code:
        name = output_of(arguments).name
        raise RuntimeError(f'the training in {name} failed with exit code {code}: {line}')


def wait_for(condition: Callable[[], Any], process: Process) -> None:
    """Wait until ``condition()`` is true.

    Raises:
        RuntimeError: If the process ends before that, or it takes too long.
    """
    start = time.monotonic()
    while not condition():
        if process.poll() is not None or time.monotonic() - start > TIMEOUT:
            process.kill()
            raise RuntimeError(f'a training did not get as far as expected: {end(process)}')
        time.sleep(0.02)
