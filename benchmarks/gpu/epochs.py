"""Parts that train in this process: precision, time per epoch, compilation.

A part is a function of (settings, folder) that returns a ``Finding``. ``folder`` is an empty folder
for its files.
"""

import logging
from pathlib import Path

from torch._dynamo.utils import counters

import test_clipreid
from benchmarks.core import Settings
from benchmarks.gpu.findings import Finding
from benchmarks.gpu.trainings import (
    demo_arguments,
    epochs,
    of_event,
    output_of,
    tiger_arguments,
    train,
)

# Mean and standard deviation of the demo's final mAP on the CPU with SOLVER.SEED 1234 and 1 to 7;
# the range is 0.571 to 0.659.
MEAN_MAP, DEVIATION = 0.618, 0.032


def demo(amp: str, settings: Settings, folder: Path) -> Finding:
    """Train the demo in one precision; its final mAP must be in the range of different seeds.

    Args:
        amp: SOLVER.AMP; on the CPU 'bf16' replaces 'fp16'.
        settings: Device and seed; with ``quick`` each stage has one epoch.
        folder: Folder for files.
    """
    if amp == 'fp16' and settings.on_cpu:
        amp = 'bf16'
    count = epochs(1, 1) if settings.quick else ()
    arguments = demo_arguments(settings, folder, 'output', 'SOLVER.AMP', amp, *count)
    lines = train(arguments)
    weights = max(output_of(arguments).glob('RN50_[0-9]*.pth'))
    result = test_clipreid.main([*arguments, 'TEST.WEIGHT', str(weights)])
    both = of_event(lines, 'stage1_epoch') + of_event(lines, 'stage2_epoch')
    seconds = sum(line['seconds'] for line in both)
    spread = f'{MEAN_MAP} ± {DEVIATION}'
    text = (
        f'mAP {result["mAP"]:.3f}, rank-1 {result["rank1"]:.3f} in {seconds:.0f} s; mAP of '
        f'different seeds: {spread}'
    )
    wrong = []
    if not settings.quick and not abs(result['mAP'] - MEAN_MAP) <= 3 * DEVIATION:
        wrong.append(
            f'mAP {result["mAP"]:.3f} is more than three standard deviations from the mean of '
            f'different seeds, {spread}'
        )
    return Finding(text, {'amp': amp, 'metrics': result, 'seconds': seconds, 'lines': lines}, wrong)


def epoch(name: str, settings: Settings, folder: Path, *opts: object) -> Finding:
    """Time epochs of both stages with the tiger settings, including loader and saved states.

    Args:
        name: 'RN50' or 'ViT'.
        settings: Device and seed; with ``quick`` there are fewer photos.
        folder: Folder for files.
        opts: Further KEY VALUE pairs.
    """
    lines = train(tiger_arguments(name, settings, folder, *opts))
    stage1, stage2 = (of_event(lines, f'stage{number}_epoch') for number in (1, 2))
    last = stage2[-1]
    facts = {
        'lines': lines,
        'epoch_s': min(line['seconds'] for line in stage2),
        'stage1_epoch_s': stage1[-1]['seconds'],
        'first_epoch_s': stage2[0]['seconds'],
        'data_wait_share': last['data_wait_share'],
        'device_memory_gb': last.get('device_memory_gb'),
    }
    text = (
        f'stage 2: {facts["epoch_s"]:.2f} s per epoch (first epoch {facts["first_epoch_s"]:.2f} '
        f's); {last["photos_per_second"]:.0f} photos/s, {last["data_wait_share"]:.0%} of the time '
        f'waiting for photos; stage 1: {facts["stage1_epoch_s"]:.2f} s per epoch'
    )
    return Finding(text, facts)


def compiled(settings: Settings, folder: Path) -> Finding:
    """Train with MODEL.COMPILE; after the first epoch nothing must be compiled again."""
    graphs = _GraphsAtEpochs()
    logger = logging.getLogger('transreid.train')
    logger.addHandler(graphs)
    try:
        found = epoch('ViT', settings, folder, 'MODEL.COMPILE', True)
    finally:
        logger.removeHandler(graphs)
    found.facts['graphs'] = graphs.counts
    found.text = f'graphs compiled by the end of each epoch: {graphs.counts}; {found.text}'
    if graphs.counts[-1] > graphs.counts[0]:
        found.wrong.append(f'more graphs were compiled after the first epoch: {graphs.counts}')
    return found


class _GraphsAtEpochs(logging.Handler):
    """Log handler that counts the graphs of torch.compile at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith('Epoch ') and ' done. ' in record.getMessage():
            self.counts.append(counters['stats']['unique_graphs'])
