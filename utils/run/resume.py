"""Resuming a training: which state, and whether it is that of the same run."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from utils.checkpoint import load_tree
from utils.errors import InputError
from utils.files import keep_earlier
from utils.run.journal import FORMAT, KEY, STATE, Journal

logger = logging.getLogger('transreid')

# Keys that may change when a run resumes: they say where things are, how often something is written
# and how many processes help. docs/reliability.md lists them. Where the data is may change; what it
# is may not (its fingerprint is compared), nor what MODEL.ACTIVATION comes to.
HARMLESS = {
    'MODEL.DEVICE',
    'MODEL.DEVICE_ID',
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
    'SOLVER.STAGE1.EVAL_PERIOD',
    'SOLVER.STAGE2.EVAL_PERIOD',
    'TEST.IMS_PER_BATCH',
    'TEST.WEIGHT',
    'TEST.RERANK_K1',
    'TEST.RERANK_K2',
    'TEST.RERANK_LAMBDA',
    'TEST.RERANK_TIES',
    'TEST.DIST_MAT',
    'TEST.EVAL',
    'OUTPUT_DIR',
}
# may rise, or fall to where the run has come: stage 2's rates do not depend on it
EPOCHS = 'SOLVER.STAGE2.MAX_EPOCHS'


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
    _check_values(state, path)
    return state


def _state_path(resume: str, folder: str | Path) -> Path:
    path = Path(folder if resume == 'auto' else resume)
    return path / STATE if resume == 'auto' or path.is_dir() else path


def is_own(resume: str, folder: str | Path) -> bool:
    """Whether the state that SOLVER.RESUME names is the one of OUTPUT_DIR ``folder``."""
    return _state_path(resume, folder).resolve() == (Path(folder) / STATE).resolve()


def finished_run(resume: str, folder: str, config: Mapping[str, Any]) -> tuple[bool, float | None]:
    """Whether the run in ``folder`` has done all that ``config`` (flat) asks for; its best mAP.

    Raises:
        InputError: It has, but ``config`` is another run's.
    """
    state = read_state(resume, folder) if folder else None
    if state is None or not is_own(resume, folder):
        return False, None
    try:
        if state['stage'] == 2 and state['finished'] and state['epoch'] >= config[EPOCHS]:
            check_config(state, config)
            return True, state['best']
    except (KeyError, TypeError, AttributeError):
        pass  # damaged, which resume() reports
    return False, None


def _is_count(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < 10**9


def _is_meter(value: Any) -> bool:
    numbers = [*value['sums'].values(), *value['last'].values()]
    return (
        _is_count(value['photos'])
        and _is_count(value['iterations'])
        and value['sums'].keys() == value['range'].keys()
        and all(isinstance(number, float) for number in numbers)
    )


VALID: dict[str, Callable[[Any], bool]] = {
    'stage': lambda value: value in (1, 2),
    'epoch': lambda value: _is_count(value, 1),
    'iteration': _is_count,
    'metrics_length': lambda value: type(value) is int and value >= 0,
    'finished': lambda value: isinstance(value, bool),
    'best': lambda value: value is None or (isinstance(value, float) and 0 <= value <= 1),
    'seconds': lambda value: isinstance(value, float) and 0 <= value < float('inf'),
    'features': lambda value: (
        value is None or (isinstance(value['sha256'], str) and value['lengths'].ndim == 1)
    ),
    'tally': _is_meter,
}


def _check_values(state: Mapping[str, Any], path: Path) -> None:
    """Reject what would only fail later in the run."""

    def fits(name: str) -> bool:
        try:
            return VALID[name](state[name])
        except (KeyError, TypeError, AttributeError):
            return False

    wrong = [name for name in VALID if not fits(name)]
    if wrong:
        raise InputError(
            f'{KEY}: {path} is damaged: {", ".join(wrong)} cannot be; start anew without --resume'
        )


def resume(journal: Journal, state: Mapping[str, Any]) -> None:
    """Put ``journal`` and all that it keeps where ``state`` ended.

    Raises:
        InputError: It is the state of another run, or damaged.
    """
    try:
        check_same_run(state, journal.facts)
        journal.restore(state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(
            f'{KEY}: the state does not fit this run or is damaged ({type(error).__name__}: '
            f'{" ".join(str(error).split())[:120]}); start anew without --resume'
        ) from None
    logger.info(
        'Resumed: stage %d, epoch %d, %d iterations of it done',
        journal.stage,
        journal.epoch,
        journal.iteration,
    )


def check_same_run(state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Check that the run of ``state`` is the one that :func:`facts_of` describes as ``facts``.

    Raises:
        InputError: It is another one; the message says what differs and what to do.
    """
    earlier = state['facts']
    check_config(state, facts['config'])
    last = facts['config'][f'SOLVER.STAGE{state["stage"]}.MAX_EPOCHS']
    if state['epoch'] > max(1, last):
        raise InputError(
            f'{KEY}: the state is damaged: epoch {state["epoch"]} of stage {state["stage"]} '
            'cannot be'
        )
    for split, fingerprint in earlier['data'].items():
        if fingerprint != facts['data'].get(split):
            raise InputError(
                f'{KEY}: the photos of {split} are not those the run began with '
                f'({_photos(fingerprint)} then, {_photos(facts["data"].get(split))} now, or other '
                'names, sizes or labels); bring them back, or start anew without --resume'
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
    keys = sorted((earlier.keys() | config.keys()) - HARMLESS)
    changed = [key for key in keys if earlier.get(key) != config.get(key)]
    if EPOCHS in changed and config[EPOCHS] >= (state['epoch'] if state['stage'] == 2 else 1):
        changed.remove(EPOCHS)
    if changed:
        listed = ', '.join(
            f'{key} {config.get(key)!r} (was {earlier.get(key)!r})' for key in changed[:5]
        )
        raise InputError(
            f'{KEY}: the config is not that of the run to go on with: '
            f'{listed}{" …" if len(changed) > 5 else ""}; '
            f'set the former values, or start anew without --resume'
        )


def _photos(fingerprint: Mapping[str, Any] | None) -> str:
    return f'{fingerprint["photos"]} photos' if fingerprint else 'none'


def facts_of(
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    model: Mapping[str, str],
) -> dict[str, Any]:
    """What makes a run the same run.

    Args:
        config: Flat.
        data: Split -> fingerprint.
        about: Of :func:`utils.run.provenance.describe_run`: device, precision and the like, which
            the rounding depends on.
        model: ``about`` of the model.
    """
    environment = {key: about[key] for key in ('device', 'precision', 'processes', 'torch')}
    environment |= {key: config[key] for key in ('MODEL.COMPILE', 'SOLVER.DETERMINISTIC')}
    return {'config': config, 'data': data, 'environment': environment, 'model': model}


def set_aside(folder: str | Path) -> None:
    """Make room for a new run in ``folder``.

    The state of an unfinished run is kept under a number, that of a finished one is deleted.
    """
    path = Path(folder) / STATE
    if not path.exists():
        return
    try:
        finished = load_tree(path, KEY)['finished'] is True
    except (InputError, KeyError, TypeError):  # nothing of ours
        finished = False
    if finished:
        path.unlink()
    else:
        kept = keep_earlier(path)
        logger.warning(
            '%s holds a run that was not finished: --resume would go on with it; its state is '
            'kept as %s',
            folder,
            kept and kept.name,
        )
