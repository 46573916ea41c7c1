"""Parts of the GPU check that are whole trainings: precision, an epoch's time, compiling, resuming,
memory, waits, processes.

A part is a function of (settings, folder) that returns a ``Finding``; ``folder`` is an empty one
for its files.
"""

import contextlib
import functools
import hashlib
import io
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

import test_clipreid
import train_clipreid
from benchmarks.cases import write_photos
from benchmarks.gpu_parts import Finding
from benchmarks.models import INDIVIDUALS, YML
from configs import load_cfg
from tools.demo.__main__ import data_options
from tools.demo.data import make_demo
from utils.checkpoint import load_state
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / 'configs/demo/cnn_clipreid.yml'
PHOTOS = 18  # of an individual: 1,926 in all, ATRW's train list has 1,887
# Final mAP of the demo on the CPU with SOLVER.SEED 1234 and 1 to 7: 0.571 to 0.659.
MEAN_MAP, DEVIATION = 0.618, 0.032
TRAINED_ALIKE = 1e-2  # relative difference of an epoch's loss in one process and in two
LITTLE_MEMORY = 2.0  # 10⁹ bytes: enough for RN50's weights, not for a batch
PATIENCE = 120  # seconds for a process to come as far as it should


# --------------------------------------------------------------------------------------- trainings


def demo_arguments(settings, folder, output, *opts):
    """The command line of a training on the demo's animals into ``folder / output``; drawn where
    they are not there yet.
    """
    data = folder / 'data'
    if not data.exists():
        few = {'train_individuals': 8, 'test_individuals': 4} if settings.quick else {}
        with contextlib.redirect_stdout(io.StringIO()):
            make_demo(data, settings.seed, **few)
    words = [
        *data_options(load_cfg(DEMO), data),
        'MODEL.DEVICE',
        settings.device.type,
        'OUTPUT_DIR',
        folder / output,
        'SOLVER.STAGE2.CHECKPOINT_PERIOD',
        1000,
        'SOLVER.STAGE2.EVAL_PERIOD',
        1000,
        *(('DATALOADER.NUM_WORKERS', 0) if settings.quick else ()),
        *opts,
    ]
    return ['--config_file', str(DEMO), *map(str, words)]


def epochs(one, two):
    """Options for so many epochs of the stages."""
    return 'SOLVER.STAGE1.MAX_EPOCHS', one, 'SOLVER.STAGE2.MAX_EPOCHS', two


def train(arguments):
    """Train in this process; returns the dicts of metrics.jsonl."""
    train_clipreid.main(arguments)
    return metrics(output_of(arguments))


def output_of(arguments):
    return Path(arguments[arguments.index('OUTPUT_DIR') + 1])


def metrics(folder):
    """The dicts of metrics.jsonl written so far."""
    try:
        lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith('}')]


def of_event(lines, event):
    return [line for line in lines if line['event'] == event]


# --------------------------------------------------------------------------------------- precision


def demo(amp, settings, folder):
    """The demo's training in one precision: its final mAP must be one that another seed could have
    given.
    """
    if amp == 'fp16' and settings.device.type == 'cpu':
        amp = 'bf16'
    count = epochs(1, 1) if settings.quick else ()
    arguments = demo_arguments(settings, folder, 'output', 'SOLVER.AMP', amp, *count)
    lines = train(arguments)
    weights = max(output_of(arguments).glob('RN50_[0-9]*.pth'))
    result = test_clipreid.main([*arguments, 'TEST.WEIGHT', str(weights)])
    seconds = sum(
        line['seconds'] for line in lines if line['event'] in ('stage1_epoch', 'stage2_epoch')
    )
    text = (
        f'mAP {result["mAP"]:.3f}, rank-1 {result["rank1"]:.3f} in {seconds:.0f} s; seeds '
        f'give {MEAN_MAP} ± {DEVIATION}'
    )
    wrong = []
    if not settings.quick and not abs(result['mAP'] - MEAN_MAP) <= 3 * DEVIATION:
        wrong.append(
            f"mAP {result['mAP']:.3f} is more than three deviations from the seeds' {MEAN_MAP} ± "
            f'{DEVIATION}'
        )
    return Finding(text, {'amp': amp, 'metrics': result, 'seconds': seconds, 'lines': lines}, wrong)


# -------------------------------------------------------------------------------- time of an epoch


def epoch(name, settings, folder, *opts):
    """Epochs of both stages at the tiger settings, of as many photos as ATRW has, with the loader
    and the states written.
    """
    lines = train(tiger_arguments(name, settings, folder, *opts))
    one, two = (of_event(lines, f'stage{stage}_epoch') for stage in (1, 2))
    seconds = min(line['seconds'] for line in two)
    facts = {
        'lines': lines,
        'epoch_s': seconds,
        'stage1_epoch_s': one[-1]['seconds'],
        'first_epoch_s': two[0]['seconds'],
        'data_wait_share': two[-1]['data_wait_share'],
        'device_memory_gb': two[-1].get('device_memory_gb'),
    }
    text = (
        f'stage 2: {seconds:.2f} s an epoch, the first {two[0]["seconds"]:.2f}; '
        f'{two[-1]["photos_per_second"]:.0f} '
        f'photos/s, {two[-1]["data_wait_share"]:.0%} of the time waiting for them; stage 1: '
        f'{one[-1]["seconds"]:.2f} s'
    )
    return Finding(text, facts)


def tiger_arguments(name, settings, folder, *opts):
    """The command line of three epochs at the tiger settings, of random weights and invented
    photos.
    """
    individuals, photos = (8, 4) if settings.quick else (INDIVIDUALS, PHOTOS)
    first = folder / 'photos'
    write_photos(first, individuals, 1, settings.seed)
    lines = []
    for individual in range(individuals):
        for number in range(photos):
            if number:
                shutil.copy(first / f'{individual}/0.jpg', first / f'{individual}/{number}.jpg')
            lines.append(f'{individual}/{number}.jpg {individual}\n')
    (folder / 'train.txt').write_text(''.join(lines), encoding='utf-8')
    words = [
        'MODEL.DEVICE',
        settings.device.type,
        'MODEL.PRETRAIN_CHOICE',
        'random',
        'DATASETS.ROOT_DIR',
        folder,
        'DATASETS.DATA_DIR',
        'photos',
        'DATASETS.LIST_DIR',
        folder,
        'DATASETS.TRAIN_LIST',
        'train.txt',
        'DATASETS.SPECIES',
        'invented',
        'DATASETS.VAL_LIST',
        '',
        'OUTPUT_DIR',
        folder / 'output',
        *epochs(1, 3),
    ]
    if settings.quick:
        words += [
            'SOLVER.STAGE1.IMS_PER_BATCH',
            16,
            'SOLVER.STAGE2.IMS_PER_BATCH',
            16,
            'DATALOADER.NUM_WORKERS',
            0,
        ]
    return ['--config_file', str(ROOT / YML[name]), *map(str, (*words, *settings.options, *opts))]


def compiled(settings, folder):
    """The same with MODEL.COMPILE: how often something was compiled by the end of each epoch."""
    graphs = _GraphsAtEpochs()
    logger = logging.getLogger('transreid.train')
    logger.addHandler(graphs)
    try:
        found = epoch('ViT', settings, folder, 'MODEL.COMPILE', True)
    finally:
        logger.removeHandler(graphs)
    found.facts['graphs'] = graphs.counts
    found.text = f'graphs compiled by the end of each epoch {graphs.counts}; {found.text}'
    if graphs.counts[-1] > graphs.counts[0]:
        found.wrong.append(f'compiled again after the first epoch: {graphs.counts}')
    return found


class _GraphsAtEpochs(logging.Handler):
    """How many graphs torch.compile has made, whenever the training says that an epoch is done."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def emit(self, record):
        if record.getMessage().startswith('Epoch ') and ' done. ' in record.getMessage():
            from torch._dynamo.utils import counters  # seconds to load, and only this part needs it

            self.counts.append(counters['stats']['unique_graphs'])


# ---------------------------------------------------------------------------------- the same again


def deterministic(settings, folder):
    """Three deterministic trainings end with the same weights: two alike, and one that SIGTERM
    stopped and --resume ended.
    """
    count = epochs(1, 8) if settings.quick else epochs(2, 6)
    arguments = [
        demo_arguments(
            settings,
            folder,
            output,
            'SOLVER.DETERMINISTIC',
            True,
            'TEST.RE_RANKING',
            True,
            'SOLVER.STAGE2.LOG_PERIOD',
            1,
            *count,
        )
        for output in ('one', 'two', 'stopped')
    ]
    wrong = []
    for words in arguments[:2]:
        _finish(_start(words), words)
    process = _start(arguments[2])
    _wait_for(lambda: of_event(metrics(output_of(arguments[2])), 'stage2_epoch'), process)
    process.send_signal(signal.SIGTERM)
    code, _ = _end(process)
    if code != 128 + signal.SIGTERM:
        wrong.append(f'after SIGTERM the exit code is {code}, {128 + signal.SIGTERM} is right')
    stopped_at = len(of_event(metrics(output_of(arguments[2])), 'stage2_epoch'))
    _finish(_start([*arguments[2], '--resume']), arguments[2])
    hashes = [_hash(output_of(words)) for words in arguments]
    if hashes[0] != hashes[1]:
        wrong.append('the same training twice gives other weights')
    if hashes[2] != hashes[0]:
        wrong.append('stopped and resumed it gives other weights')
    text = (
        f'two trainings and one stopped in epoch {stopped_at + 1} and resumed: weights '
        f'{", ".join(hashes)}'
    )
    return Finding(text, {'hashes': hashes, 'exit_code': code}, wrong)


def _hash(output):
    """Of the last checkpoint's tensors, eight digits."""
    state = load_state(max(output.glob('RN50_[0-9]*.pth'), key=lambda path: path.stat().st_mtime))
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


# ----------------------------------------------------------------------------------- memory, waits


def memory(settings, folder):
    """RN50 where memory ends early: the training must end with one line that says so."""
    limit_memory(settings.device, LITTLE_MEMORY)
    try:
        train(tiger_arguments('RN50', settings, folder))
    except InputError as error:
        line = str(error)
        wrong = (
            []
            if line.startswith('out of memory') and '\n' not in line
            else ['ended with another error']
        )
        return Finding(line, {'line': line}, wrong)
    enough = (
        []
        if settings.device.type == 'cpu'
        else [f'{LITTLE_MEMORY} GB were enough: nothing is shown']
    )
    return Finding('trained to the end', {}, enough)


def limit_memory(device, gigabytes):
    """From now on this process may not have more than so many 10⁹ bytes of the device. Nothing on
    the CPU.
    """
    if device.type != 'cpu':
        backend = torch.get_device_module(device)
        share = gigabytes * 1e9 / backend.get_device_properties(device).total_memory
        backend.set_per_process_memory_fraction(min(1.0, share), device.index or 0)


def waits(settings, folder):
    """Iterations must not wait for the device: twice as many wait as often, at the ends of epochs
    and states.
    """
    counts = []
    for photos in (32, 16):
        opts = []
        for stage in ('STAGE1', 'STAGE2'):
            opts += [f'SOLVER.{stage}.IMS_PER_BATCH', photos, f'SOLVER.{stage}.LOG_PERIOD', 1000]
        arguments = demo_arguments(settings, folder, f'output{photos}', *opts, *epochs(1, 1))
        with noted_waits(settings.device) as places:
            train(arguments)
        counts.append(Counter(places))
    more = counts[1] - counts[0]
    text = (
        f'{more.total()} more waits in twice as many iterations; {counts[0].total()} in a '
        'training of two epochs'
    )
    return Finding(
        text,
        {'waits': [dict(count) for count in counts]},
        [f'{place} waits {count} times more' for place, count in more.most_common(5)],
    )


@contextlib.contextmanager
def noted_waits(device):
    """Yields a list: the lines of Python, 'file:number', that made the program wait for the device.
    None on the CPU.
    """
    places = []
    if device.type == 'cpu':
        yield places
        return
    backend = torch.get_device_module(device)
    backend.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            yield places
    finally:
        backend.set_sync_debug_mode('default')
    places += [
        f'{Path(one.filename).name}:{one.lineno}'
        for one in caught
        if 'synchronizing' in str(one.message)
    ]


# ------------------------------------------------------------------------------- several processes


def processes(settings, folder):
    """Two processes, each with a device: SYNC_BN against one process, one that is killed, one whose
    memory ends.
    """
    arguments = functools.partial(demo_arguments, settings, folder)
    together = 'MODEL.DIST_TRAIN', True, 'SOLVER.AMP', 'off'
    synced = settings.device.type != 'cpu'  # in a rehearsal each has its own batch norms
    if synced:
        together += 'MODEL.SYNC_BN', True
    facts, wrong = {}, []

    alone, shared = (
        arguments('one', 'SOLVER.AMP', 'off', *epochs(1, 1)),
        arguments('both', *together, *epochs(1, 1)),
    )
    _finish(_start(alone), alone)
    for process in _start_two(shared):
        _finish(process, shared)
    losses = [
        of_event(metrics(output_of(words)), 'stage2_epoch')[-1]['loss'] for words in (alone, shared)
    ]
    facts['losses'] = losses
    if synced and not abs(losses[1] - losses[0]) <= TRAINED_ALIKE * losses[0]:
        wrong.append(f'the loss of two processes is {losses[1]:.4f}, of one {losses[0]:.4f}')

    endless = arguments('killed', *together, *epochs(1, 500))
    survivor, victim = _start_two(endless)
    _wait_for(lambda: of_event(metrics(output_of(endless)), 'stage2_epoch'), survivor)
    victim.kill()
    _end(victim)
    facts['killed'] = code, line, seconds = _end_alone(survivor)
    if code not in (2, -signal.SIGKILL):  # torchrun would have killed it
        wrong.append(f'after a process was killed the other ended with {code}')

    facts['memory'] = _starve_one(settings, arguments('memory', *together, *epochs(1, 500)))
    if any(code != 2 or 'out of memory' not in line for code, line in facts['memory']):
        wrong.append(f'where the memory of rank 1 ends, they end with {facts["memory"]}')
    ends = ' and '.join(f'"{line}"' for _, line in facts['memory'])
    text = (
        f'loss {losses[1]:.4f} of two processes, {losses[0]:.4f} of one; one killed: the other '
        'ends after '
        f'{seconds:.0f} s with {code}, "{line}"; memory of one ends: {ends or "not tried"}'
    )
    return Finding(text, facts, wrong)


def _starve_one(settings, arguments):
    """Exit codes and last lines of two processes of which rank 1 has no memory; nothing on the
    CPU.
    """
    if settings.device.type == 'cpu':
        return []
    return [_end(process) for process in _start_two(arguments, starved=1)]


def _end_alone(process):
    """(exit code, last line of stderr, seconds) of a process whose partner is gone: it may notice,
    else it is ended as torchrun does it, with SIGTERM, and SIGKILL after half a minute.
    """
    start = time.monotonic()
    for patience, number in ((15, signal.SIGTERM), (30, signal.SIGKILL)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
        process.send_signal(number)
    return *_end(process), time.monotonic() - start


def starve(arguments):
    """Train with next to no memory on the device: what rank 1 does then."""
    name = arguments[arguments.index('MODEL.DEVICE') + 1]
    limit_memory(torch.device(name, int(os.environ['LOCAL_RANK'])), 1e-3)
    train_clipreid.main(arguments)


def _start_two(arguments, starved=None):
    """Two processes as torchrun would start them."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    common = {
        'WORLD_SIZE': '2',
        'LOCAL_WORLD_SIZE': '2',
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(port),
    }
    return [
        _start(arguments, {**common, 'RANK': str(rank), 'LOCAL_RANK': str(rank)}, starved == rank)
        for rank in range(2)
    ]


def _start(arguments, variables=None, starved=False):
    """The training as a process of its own."""
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


def _end(process):
    """(exit code, last line of stderr), after it has been killed if it takes too long."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        errors += f'\nno end after {PATIENCE} s'
    return process.returncode, (errors.strip().splitlines() or [''])[-1]


def _finish(process, arguments):
    """Wait for the end of a training that must succeed."""
    code, line = _end(process)
    if code:
        raise RuntimeError(
            f'the training into {output_of(arguments).name} ended with {code}: {line}'
        )


def _wait_for(condition, process):
    """Until ``condition()`` holds; RuntimeError if the process ends or takes too long."""
    start = time.monotonic()
    while not condition():
        if process.poll() is not None or time.monotonic() - start > PATIENCE:
            process.kill()
            raise RuntimeError(f'a training did not come as far as it should: {_end(process)}')
        time.sleep(0.02)
