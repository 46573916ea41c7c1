"""The parts of the GPU check, which are the rows of its table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.core import Settings
from benchmarks.gpu import epochs, limits, measures, stops
from benchmarks.gpu.findings import Finding


@dataclass(frozen=True)
class Part:
    """One row of the table.

    Attributes:
        name: Name that --only searches.
        title: Subject of the part.
        find: Function of (settings, folder) that runs the part.
        seconds: Time limit.
        measures: Whether the part measures time and must run alone on the machine.
        devices: Number of devices that it needs.
    """

    name: str
    title: str
    find: Callable[[Settings, Path], Finding]
    seconds: int
    measures: bool = False
    devices: int = 1


# fmt: off
CHECKS = (
    Part('device', 'device, precision, TF32', measures.device, 60),
    Part('compile', '`MODEL.COMPILE`, ViT-B-16: three epochs', epochs.compiled, 200),
    Part('deterministic', 'deterministic twice; SIGTERM and `--resume`', stops.deterministic, 150),
    Part('demo-auto', 'the demo, `SOLVER.AMP auto`', partial(epochs.demo, 'auto'), 100),
    Part('demo-fp16', 'the demo, `SOLVER.AMP fp16`', partial(epochs.demo, 'fp16'), 100),
    Part('demo-off', 'the demo, `SOLVER.AMP off`', partial(epochs.demo, 'off'), 100),
    Part('waits', 'iterations that wait for the GPU', limits.waits, 100),
    Part('memory', 'out of memory', limits.memory, 100),
    Part('features', 'test features of the GPU and of the CPU', measures.features, 100),
    Part('processes', 'two GPUs: `MODEL.SYNC_BN`, a killed process, out of memory',
         stops.processes, 240, devices=2),
)
MEASUREMENTS = (
    Part('rerank', 're-ranking', measures.reranking, 120, measures=True),
    Part('rn50-step', 'RN50: step, losses of 50 steps',
         partial(measures.steps, 'RN50'), 90, measures=True),
    Part('vit-step', 'ViT-B-16: step, losses of 50 steps',
         partial(measures.steps, 'ViT'), 90, measures=True),
    Part('rn50-epoch', 'RN50: epochs at the tiger settings',
         partial(epochs.epoch, 'RN50'), 90, measures=True),
    Part('vit-epoch', 'ViT-B-16: epochs at the tiger settings',
         partial(epochs.epoch, 'ViT'), 90, measures=True),
    Part('cudnn', '`cudnn.benchmark`', measures.cudnn, 60, measures=True),
)
# fmt: on
PARTS = (*CHECKS, *MEASUREMENTS)
