"""Resuming a training: which state, and whether it is that of the same run."""

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

# Keys that may change when a run resumes: they say where things are, how often something is written
# and how many processes help. docs/reliability.md lists them. Where the data is may change; what it
# is may not (its fingerprint is compared), nor what MODEL.ACTIVATION comes to.
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
    'OUTPUT_DIR',
}
# may rise, or fall to where the run has come: stage 2's rates do not depend on it
EPOCHS = 'SOLVER.STAGE2.MAX_EPOCHS'
# Entries of a state that would otherwise be noticed late in a run.
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
    """The state that SOLVER.RESUME asks for; None where there is none to resume from.

    Args:
        resume: '' = never; 'auto' = that of ``folder``, if there is one; else the path of a state
            or of a run's folder.
        folder: OUTPUT_DIR.
    """
    if not resume:
        return None
    path = _state_path(resume, folder)
    if resume == 'auto' and not path.exists():
        return None
    state = load_tree(path, KEY)
    if not isinstance(state, dict) or 'format' not in state:
        raise InputError(
            f'{KEY}: {path} is no state that a run can go on from; that is {STATE} in its '
            'OUTPUT_DIR, not a checkpoint'
        )
    if state['format'] != FORMAT:
        raise InputError(
            f'{KEY}: {path} is of format {state["format"]!r:.40}, this version reads {FORMAT}; go '
            'on with the version that began the run, or start anew without --resume'
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
    """Whether the state that SOLVER.RESUME names is the one of OUTPUT_DIR ``folder``."""
    return _state_path(resume, folder).resolve() == (Path(folder) / STATE).resolve()


def is_finished(state: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the run of ``state`` has done all that ``config`` (flat) asks for.

    Raises:
        InputError: It has, but ``config`` is another run's.
    """
    finished = state['stage'] == 2 and state['finished'] and state['epoch'] >= config[EPOCHS]
    if finished:
        with _damage_reported():
            check_config(state, config)
    return finished


@contextlib.contextmanager
def _damage_reported() -> Iterator[None]:
    """Raise what a damaged state leads to as InputError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(
            f'{KEY}: the state does not fit this run or is damaged ({type(error).__name__}: '
            f'{" ".join(str(error).split())[:120]}); start anew without --resume'
        ) from None


def resume(journal: Journal, state: Mapping[str, Any]) -> None:
    """Put ``journal`` and all that it keeps where ``state`` ended.

    Raises:
        InputError: It is the state of another run, or damaged.
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
    """Load all but an optimizer's settings: these are ours, and each epoch sets its rates."""
    if isinstance(part, torch.optim.Optimizer):
        state = {'state': state['state'], 'param_groups': part.state_dict()['param_groups']}
        if part.defaults.get('fused'):
            _check_moments(state['state'], part)
    part.load_state_dict(state)


def _check_moments(
    moments: Mapping[int, Mapping[str, Any]], optimizer: torch.optim.Optimizer
) -> None:
    """Check sizes, as fused kernels write without a look at them."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    names = {name for each in moments.values() for name in each}
    for index, each in moments.items():
        for name in names:
            like = torch.tensor(0.0) if name == 'step' else parameters[index]
            if (each[name].shape, each[name].dtype) != (like.shape, like.dtype):
                raise ValueError(f'{name} of parameter {index} has another shape')


def check_same_run(state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Check that the run of ``state`` is the one of these ``facts``.

    Raises:
        InputError: It is another one; the message says what differs and what to do.
    """
    earlier = state['facts']
    check_config(state, facts['config'])
    for split in earlier['data']:
        if earlier['data'][split] != facts['data'].get(split):
            raise InputError(
                f'{KEY}: the photos of {split} are not those the run began with (another number, '
                'or other names, sizes or labels); bring them back, or start anew without --resume'
            )
    if earlier['model'] != facts['model']:
        raise InputError(
            f'{KEY}: the model is not that of the run to go on with: {facts["model"]} (was '
            f'{earlier["model"]}); set MODEL.ACTIVATION, or bring the weights and lists back'
        )
    if earlier['environment'] != facts['environment']:
        logger.warning(
            'goes on in another environment, so not bit for bit as it would have: %s, before %s',
            facts['environment'],
            earlier['environment'],
        )


def check_config(state: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that ``config`` (flat) is that of the state's run, but for the harmless keys.

    Raises:
        InputError: It is not; the message lists the keys that differ.
    """
    earlier = state['facts']['config']
    keys = sorted(config.keys() - HARMLESS)
    changed = [key for key in keys if earlier.get(key) != config.get(key)]
    if EPOCHS in changed and config[EPOCHS] >= (state['epoch'] if state['stage'] == 2 else 1):
        changed.remove(EPOCHS)
    if changed:
        listed = [f'{key} {config[key]!r} (was {earlier.get(key)!r})' for key in changed]
        raise InputError(
            f'{KEY}: the config is not that of the run to go on with: {first_few(listed, 5)}; '
            f'set the former values, or start anew without --resume'
        )


def set_aside(folder: str | Path) -> None:
    """Make room for a new run in ``folder``.

    The state of an unfinished run is kept under a number, that of a finished one is deleted.
    """
    path = Path(folder) / STATE
    with contextlib.suppress(InputError, KeyError, TypeError):  # nothing there, or nothing of ours
        if load_tree(path, KEY)['finished'] is True:
            path.unlink()
    kept = keep_earlier(path)
    if kept:
        logger.warning(
            '%s holds a run that was not finished: --resume would go on with it; its state is '
            'kept as %s',
            folder,
            kept.name,
        )
