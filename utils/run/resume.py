"""Resumes a training run: finds its state, and checks that it belongs to the same run."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from utils.checkpoint import load_tree
from utils.errors import InputError
from utils.files import keep_earlier
from utils.logger import logger
from utils.run.journal import FORMAT, KEY, STATE, Journal, Stateful
from utils.words import first_few

# Keys that may change when a run resumes: they say where files are, how often something is written
# and how many processes work. docs/reliability.md lists them. The data may move but not change (its
# fingerprint is compared); MODEL.ACTIVATION may be spelled out but must mean the same. Keys that
# nothing reads may change too.
HARMLESS = {
    'MODEL.DEVICE',
    'MODEL.DIST_TRAIN',
    'MODEL.COMPILE',
    'MODEL.PRETRAIN_PATH',
    'MODEL.ACTIVATION',
    'DATASETS.ROOT_DIR',
    'DATASETS.DATA_DIR',
    'DATASETS.TEST_ROOT_DIR',
    'DATASETS.LIST_DIR',
    'DATASETS.TRAIN_LIST',
    'DATASETS.VAL_LIST',
    'DATASETS.QUERY_LIST',
    'DATASETS.GALLERY_LIST',
    'DATASETS.PROTOCOL',
    'DATASETS.GROUND_TRUTH',
    'DATASETS.SKIP_MISSING',
    'DATASETS.SKIP_BROKEN',
    'DATASETS.ALLOW_OUTSIDE',
    'DATALOADER.NUM_WORKERS',
    'DATALOADER.CACHE_GB',
    'SOLVER.RESUME',
    'SOLVER.RESUME_PERIOD',
    'SOLVER.CHECKPOINT_MINUTES',
    'SOLVER.CHECKPOINT_FORMAT',
    'SOLVER.DETERMINISTIC',
    'SOLVER.STAGE1.LOG_PERIOD',
    'SOLVER.STAGE2.LOG_PERIOD',
    'SOLVER.STAGE1.CHECKPOINT_PERIOD',
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    'SOLVER.STAGE2.EVAL_PERIOD',
    'TEST.IMS_PER_BATCH',
    'TEST.WEIGHT',
    'TEST.RERANK_K1',
    'TEST.RERANK_K2',
    'TEST.RERANK_LAMBDA',
    'TEST.RERANK_TIES',
    'TEST.BOOTSTRAP',
    'TEST.REPORT',
    'TEST.EXPLAIN',
    'TEST.WHITENING',
    'TEST.PRECISION',
    'TEST.BASELINES',
    'OUTPUT_DIR',
}
# Keys that states of earlier versions lack -> what those versions did.
ADDED = {
    'MODEL.PROMPT_START': 'random',
    'MODEL.TRIPLET_DISTANCE': 'euclidean',
    'MODEL.FREEZE_STEM': False,
    'MODEL.FREEZE_NORMS': False,
    'SOLVER.STAGE2.COSINE_MARGIN': 0.5,
    'SOLVER.STAGE2.COSINE_SCALE': 30,
}
# May be raised, or lowered to the epoch that the run has reached: no learning rate of stage 2
# depends on it.
EPOCHS = 'SOLVER.STAGE2.MAX_EPOCHS'
# Entries of a state that would make the run fail late if they were damaged.
TYPES: dict[str, Any] = {
    'stage': int,
    'epoch': int,
    'iteration': int,
    'metrics_length': int,
    'finished': bool,
    'best': float | None,
    'seconds': float,
    'features': dict | None,
    'tally': dict,
}


def read_state(resume: str, folder: str | Path) -> dict[str, Any] | None:
    """Return the state that SOLVER.RESUME asks for, None if there is nothing to resume.

    Args:
        resume: '' for a new run; 'auto' for the state in ``folder``, if there is one; otherwise the
            path of a state or of a run's folder.
        folder: OUTPUT_DIR.

    Raises:
        InputError: The file is missing, damaged, or no state that this version can read.
    """
    if not resume:
        return None
    path = _state_path(resume, folder)
    if resume == 'auto' and not path.exists():
        return None
    state = load_tree(path, KEY)
    if not isinstance(state, dict) or 'format' not in state:
        raise InputError(
            f'{KEY}: {path} is not a state to resume from; name {STATE} in the OUTPUT_DIR of a '
            'run, not a checkpoint'
        )
    if state['format'] != FORMAT:
        raise InputError(
            f'{KEY}: {path} has format {state["format"]!r:.40}, but this version reads {FORMAT}; '
            'resume with the version that started the run, or start a new run without --resume'
        )
    with _damage_reported():
        for name, kind in TYPES.items():
            if not isinstance(state[name], kind):
                raise ValueError(f'{name} cannot be {state[name]!r:.40}')
    return state


def _state_path(resume: str, folder: str | Path) -> Path:
    path = Path(folder if resume == 'auto' else resume)
    return path / STATE if resume == 'auto' or path.is_dir() else path


def is_own(resume: str, folder: str | Path) -> bool:
    """Return whether SOLVER.RESUME names the state in ``folder``, the OUTPUT_DIR."""
    return _state_path(resume, folder).resolve() == (Path(folder) / STATE).resolve()


def is_finished(state: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Return whether the run of ``state`` has done all the epochs that ``config`` (flat) asks for.

    Raises:
        InputError: It has, but ``config`` belongs to another run.
    """
    finished = state['stage'] == 2 and state['finished'] and state['epoch'] >= config[EPOCHS]
    if finished:
        with _damage_reported():
            check_config(state, config)
    return finished


@contextlib.contextmanager
def _damage_reported() -> Iterator[None]:
    """Raise an ``InputError`` for any error that a damaged state causes."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(
            f'{KEY}: the state does not fit this run or is damaged ({type(error).__name__}: '
            f'{" ".join(str(error).split())[:120]}); start a new run without --resume'
        ) from None


def resume(journal: Journal, state: Mapping[str, Any]) -> None:
    """Set ``journal``, the model and the optimizers to ``state``.

    Raises:
        InputError: The state belongs to another run, or is damaged.
    """
    with _damage_reported():
        check_same_run(state, journal.facts)
        journal.restore(state)
        for name, part in journal.parts[journal.stage].items():
            _load_part(part, state['parts'][name])
    logger.info(
        'Resumed: stage %d, epoch %d, %d iterations of it done',
        journal.stage,
        journal.epoch,
        journal.iteration,
    )


def _load_part(part: Stateful, state: dict[str, Any]) -> None:
    """Load a part, but not an optimizer's settings: the config and the schedule set those."""
    if isinstance(part, torch.optim.Optimizer):
        state = {'state': state['state'], 'param_groups': part.state_dict()['param_groups']}
        if part.defaults.get('fused'):
            _check_moments(state['state'], part)
    part.load_state_dict(state)


def _check_moments(
    moments: Mapping[int, Mapping[str, Any]], optimizer: torch.optim.Optimizer
) -> None:
    """Check the sizes, because fused kernels write without checking them."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    names = {name for each in moments.values() for name in each}
    for index, each in moments.items():
        for name in names:
            like = torch.tensor(0.0) if name == 'step' else parameters[index]
            if (each[name].shape, each[name].dtype) != (like.shape, like.dtype):
                raise ValueError(f'{name} of parameter {index} has another shape')


def check_same_run(state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Check that ``state`` belongs to the run that ``facts`` describe.

    Raises:
        InputError: It belongs to another run; the message says what differs and what to do.
    """
    earlier = state['facts']
    check_config(state, facts['config'])
    for split in earlier['data']:
        if earlier['data'][split] != facts['data'].get(split):
            raise InputError(
                f'{KEY}: the photos of {split} have changed since the run started (their number, '
                'names, sizes or labels); restore them, or start a new run without --resume'
            )
    if earlier['model'] != facts['model']:
        raise InputError(
            f'{KEY}: the model is not that of the interrupted run: {facts["model"]} (was '
            f'{earlier["model"]}); set MODEL.ACTIVATION, or restore the weights and lists'
        )
    if earlier['environment'] != facts['environment']:
        logger.warning(
            'resuming in another environment, so the result will not be bit-identical: %s (was %s)',
            facts['environment'],
            earlier['environment'],
        )


def check_config(state: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that ``config`` (flat) equals that of the state's run, except for harmless keys.

    Raises:
        InputError: It differs; the message lists the keys.
    """
    earlier = ADDED | state['facts']['config']
    keys = sorted(config.keys() - HARMLESS)
    changed = [key for key in keys if earlier.get(key) != config.get(key)]
    if EPOCHS in changed and config[EPOCHS] >= (state['epoch'] if state['stage'] == 2 else 1):
        changed.remove(EPOCHS)
    if changed:
        listed = [f'{key} {config[key]!r} (was {earlier.get(key)!r})' for key in changed]
        raise InputError(
            f'{KEY}: the config is not that of the interrupted run: {first_few(listed, 5)}; '
            'set the previous values, or start a new run without --resume'
        )


def set_aside(folder: str | Path) -> None:
    """Remove the state of an earlier run in ``folder``, because a new run starts there.

    The state of an unfinished run is kept under a number; that of a finished run is deleted.
    """
    path = Path(folder) / STATE
    with contextlib.suppress(InputError, KeyError, TypeError):  # no file, or not a state
        if load_tree(path, KEY)['finished'] is True:
            path.unlink()
    kept = keep_earlier(path)
    if kept:
        logger.warning(
            '%s holds an unfinished run that --resume would continue; its state is kept as %s',
            folder,
            kept.name,
        )
