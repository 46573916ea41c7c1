"""Whole trainings for the parts: their command lines, and how they run, here or as processes."""

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
TOY_INDIVIDUALS = (8, 4)  # of the demo, in a rehearsal
PHOTOS = 18  # of an individual: 1,926 in all, ATRW's train list has 1,887
PATIENCE = 120  # seconds for a process to come as far as it should

Process = subprocess.Popen[str]

# Command lines


def demo_arguments(settings: Settings, folder: Path, output: str, *opts: object) -> list[str]:
    """The command line of a training on the demo's animals.

    Args:
        settings: device, seed; quick: fewer animals.
        folder: holds the animals, which are drawn where missing.
        output: the name of OUTPUT_DIR in it.
        opts: further KEY VALUE pairs.
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
    """The command line of three epochs at the tiger settings.

    Args:
        name: 'RN50' or 'ViT', of random weights.
        settings: device, seed, options; quick: fewer photos.
        folder: where as many invented photos as ATRW has are written, most of them copies.
        opts: further KEY VALUE pairs.
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
    """Options for so many epochs of the stages."""
    return 'SOLVER.STAGE1.MAX_EPOCHS', one, 'SOLVER.STAGE2.MAX_EPOCHS', two


# In this process


def train(arguments: Sequence[str]) -> list[Facts]:
    """Train in this process; returns the dicts of metrics.jsonl."""
    train_clipreid.main(list(arguments))
    return metrics(output_of(arguments))


def output_of(arguments: Sequence[str]) -> Path:
    """The OUTPUT_DIR of a command line."""
    return Path(arguments[arguments.index('OUTPUT_DIR') + 1])


def metrics(folder: Path) -> list[Facts]:
    """The dicts of metrics.jsonl written so far."""
    try:
        lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith('}')]


def of_event(lines: Sequence[Facts], event: str) -> list[Facts]:
    """The lines of one kind: 'stage1_epoch', 'stage2_epoch' …"""
    return [line for line in lines if line['event'] == event]


def stage2_epochs(arguments: Sequence[str]) -> list[Facts]:
    """The epochs of stage 2 that a training has written so far."""
    return of_event(metrics(output_of(arguments)), 'stage2_epoch')


def limit_memory(device: torch.device, gigabytes: float) -> None:
    """From now on this process may have so many 10⁹ bytes of the device. Nothing on the CPU."""
    if device.type != 'cpu':
        backend = torch.get_device_module(device)
        share = gigabytes * 1e9 / backend.get_device_properties(device).total_memory
        backend.set_per_process_memory_fraction(min(1.0, share), device.index or 0)


def starve(arguments: Sequence[str]) -> None:
    """Train with next to no memory on the device: what ``start(starved=True)`` runs."""
    name = arguments[arguments.index('MODEL.DEVICE') + 1]
    limit_memory(torch.device(name, int(os.environ['LOCAL_RANK'])), 1e-3)
    train_clipreid.main(list(arguments))


# As processes


def start(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, starved: bool = False
) -> Process:
    """Start a training as a process of its own.

    Args:
        arguments: its command line.
        variables: of the environment, besides those of this process.
        starved: it gets next to no memory on its device.
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
    """Two processes as torchrun would start them; the rank ``starved`` gets no memory."""
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
    """The exit code and the last line of stderr; the process is killed if it takes too long."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        errors += f'\nno end after {PATIENCE} s'
    return process.returncode, (errors.strip().splitlines() or [''])[-1]


def finish(process: Process, arguments: Sequence[str]) -> None:
    """Wait for the end of a training that must succeed."""
    code, line = end(process)
    if code:
        name = output_of(arguments).name
        raise RuntimeError(f'the training into {name} ended with {code}: {line}')


def wait_for(condition: Callable[[], Any], process: Process) -> None:
    """Until ``condition()`` holds; RuntimeError if the process ends or takes too long."""
    start = time.monotonic()
    while not condition():
        if process.poll() is not None or time.monotonic() - start > PATIENCE:
            process.kill()
            raise RuntimeError(f'a training did not come as far as it should: {end(process)}')
        time.sleep(0.02)
