"""Before a training starts: which run it goes on with, whether that is the same one, and whether
the disk has room for it.
"""

import logging
from pathlib import Path

from utils.checkpoint import load_tree
from utils.errors import InputError
from utils.files import free_bytes, keep_earlier
from utils.run.journal import FORMAT, KEY, STATE

logger = logging.getLogger('transreid')

# Keys that may change when a run goes on: they say where things are, how often something is written
# and how many hands help.
# docs/reliability.md lists them. Where the data is may change; what it is may not (its fingerprint
# is compared), nor what
# MODEL.ACTIVATION comes to (the model's words are).
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


def read_state(resume, folder):
    """The state that SOLVER.RESUME asks for: None = there is none to go on from.

    resume: '' = never; 'auto' = that of OUTPUT_DIR ``folder``, if there is one; else the path of a
    state or of a run's folder.
    """
    if not resume:
        return None
    path = Path(folder) / STATE if resume == 'auto' else Path(resume)
    if path.is_dir():
        path = path / STATE
    if resume == 'auto' and not path.exists():
        return None
    state = load_tree(path, KEY)
    if isinstance(state, dict) and state.get('format') == FORMAT:
        _check_state(state, path)
    else:
        what = (
            f'of format {state["format"]!r:.40}, this version reads {FORMAT}; go on with the '
            'version that began the run, '
            f'or start anew without --resume'
            if isinstance(state, dict) and 'format' in state
            else (
                f'no state that a run can go on from; that is {STATE} in its OUTPUT_DIR, not a '
                'checkpoint'
            )
        )
        raise InputError(f'{KEY}: {path} is {what}')
    return state


def is_finished(state, config):
    """Whether the run of ``state`` has done all that ``config`` (flat) asks for. InputError where
    that is another run's.
    """
    try:
        if state['stage'] == 2 and state['finished'] and state['epoch'] >= config[EPOCHS]:
            check_config(state, config)
            return True
    except (KeyError, TypeError, AttributeError):
        pass  # damaged: told later
    return False


def is_own(resume, folder):
    """Whether the state that SOLVER.RESUME names is the one of OUTPUT_DIR ``folder``."""
    return (
        resume == 'auto'
        or (Path(resume) / STATE if Path(resume).is_dir() else Path(resume)).resolve()
        == (Path(folder) / STATE).resolve()
    )


def place(state):
    """Where a state is, for several processes to compare; None without one."""
    return state and [state[name] for name in ('stage', 'epoch', 'iteration')]


def _check_state(state, path):
    def count(value, least):
        return type(value) is int and value >= least

    good = {
        'stage': lambda x: x in (1, 2),
        'epoch': lambda x: count(x, 1),
        'iteration': lambda x: count(x, 0) and x < 10**9,
        'metrics_length': lambda x: count(x, 0),
        'finished': lambda x: isinstance(x, bool),
        'best': lambda x: x is None or (isinstance(x, float) and 0 <= x <= 1),
        'seconds': lambda x: isinstance(x, float) and 0 <= x < float('inf'),
        'features': lambda x: (
            x is None or (isinstance(x['sha256'], str) and x['lengths'].ndim == 1)
        ),
        'tally': lambda x: (
            count(x['photos'], 0)
            and count(x['iterations'], 0)
            and x['sums'].keys() == x['range'].keys()
            and all(
                isinstance(number, float) for number in [*x['sums'].values(), *x['last'].values()]
            )
        ),
    }

    def fits(name):
        try:
            return good[name](state[name])
        except (KeyError, TypeError, AttributeError):
            return False

    wrong = [name for name in good if not fits(name)]
    if wrong:
        raise InputError(
            f'{KEY}: {path} is damaged: {", ".join(wrong)} cannot be; start anew without --resume'
        )


def go_on(journal, state):
    """Put ``journal`` and all that it keeps where ``state`` ended. InputError where that is another
    run, or no whole state.
    """
    try:
        check_same_run(state, journal.facts)
        journal.restore(state)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RuntimeError,
    ) as error:  # fits no part of it
        raise InputError(
            f'{KEY}: the state does not fit this run or is damaged ({type(error).__name__}: '
            f'{" ".join(str(error).split())[:120]}); start anew without --resume'
        ) from None


def check_same_run(state, facts):
    """InputError unless the run of ``state`` is the one that ``facts`` describe.

    facts: {'config': flat dict, 'data': split -> fingerprint, 'environment': what rounding depends
    on, 'model': its own words}.
    """
    check_config(state, facts['config'])
    ours = facts['config']
    if state['epoch'] > max(1, ours[f'SOLVER.STAGE{state["stage"]}.MAX_EPOCHS']):
        raise InputError(
            f'{KEY}: the state is damaged: epoch {state["epoch"]} of stage {state["stage"]} '
            'cannot be'
        )
    for split, theirs in state['facts']['data'].items():
        if theirs != facts['data'].get(split):
            raise InputError(
                f'{KEY}: the photos of {split} are not those the run began with '
                f'({_photos(theirs)} then, '
                f'{_photos(facts["data"].get(split))} now, or other names, sizes or labels); '
                'bring them back, or '
                f'start anew without --resume'
            )
    if state['facts']['model'] != facts['model']:
        raise InputError(
            f'{KEY}: the model is not that of the run to go on with: {facts["model"]} (was '
            f'{state["facts"]["model"]}); set MODEL.ACTIVATION, or bring the weights and lists back'
        )
    if state['facts']['environment'] != facts['environment']:
        logger.warning(
            'goes on in another environment, so not bit for bit as it would have: %s, before %s',
            facts['environment'],
            state['facts']['environment'],
        )


def check_config(state, ours):
    """InputError with the keys that differ between the state's config and ``ours``, a flat dict,
    but for the harmless ones.
    """
    theirs = state['facts']['config']
    changed = [
        key
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key) and key not in HARMLESS
    ]
    if EPOCHS in changed and ours[EPOCHS] >= (state['epoch'] if state['stage'] == 2 else 1):
        changed.remove(EPOCHS)
    if changed:
        listed = ', '.join(
            f'{key} {ours.get(key)!r} (was {theirs.get(key)!r})' for key in changed[:5]
        )
        raise InputError(
            f'{KEY}: the config is not that of the run to go on with: '
            f'{listed}{" …" if len(changed) > 5 else ""}; '
            f'set the former values, or start anew without --resume'
        )


def _photos(fingerprint):
    return f'{fingerprint["photos"]} photos' if fingerprint else 'none'


def facts_of(config, data, about, model):
    """What makes a run the same run. config: flat dict; data: split -> fingerprint; about: of
    ``describe_run``;
    model: ``about`` of the model."""
    environment = {key: about[key] for key in ('device', 'precision', 'processes', 'torch')}
    environment |= {key: config[key] for key in ('MODEL.COMPILE', 'SOLVER.DETERMINISTIC')}
    return {'config': config, 'data': data, 'environment': environment, 'model': model}


def planned_files(journal, one, two, validated):
    """name -> bytes of what a run still writes. one, two: SOLVER.STAGE1 and STAGE2; validated:
    whether a best one is kept.
    """
    tensors = journal.model.state_dict()
    checkpoint = sum(tensor.nbytes for tensor in tensors.values())
    trained = sum(tensors[name].nbytes for name in journal.model.changed_names(2))
    files = {STATE: 3 * trained}  # and Adam's two moments of each
    for stage, solver, stem in ((1, one, 'stage1_'), (2, two, '')):
        period, last = solver.CHECKPOINT_PERIOD, solver.MAX_EPOCHS
        for epoch in {*range(period, last + 1, period), last} - {0}:
            if (stage, epoch) >= (journal.stage, journal.epoch):
                files[f'{journal.name}_{stem}{epoch}.{journal.suffix}'] = checkpoint
    if validated:
        files[f'{journal.name}_best.{journal.suffix}'] = checkpoint
    return files


def set_aside(folder):
    """A new run begins in ``folder``: the state of an unfinished one is kept under a number, that
    of a finished one goes.
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
        logger.warning(
            '%s holds a run that was not finished: --resume would go on with it; its state is '
            'kept as %s',
            folder,
            keep_earlier(path).name,
        )


def check_disk(folder, files, cache=0, new=False):
    """Say how much disk the run needs, and refuse it where that is not free.

    files: name -> bytes of what will be written to ``folder``; what is there already will be
    replaced, but for the state and the best checkpoint of another run where this is a ``new`` one.
    cache: bytes of decoded photos.
    """

    def there(name):
        path = Path(folder) / name
        kept = new and (name == STATE or '_best.' in name)
        return path.stat().st_size if path.exists() and not kept else 0

    need = (
        sum(max(0, size - there(name)) for name, size in files.items())
        + max(files.values())
        + cache
    )  # one beside itself
    try:
        free = free_bytes(folder)
    except OSError as error:
        logger.warning(
            'OUTPUT_DIR %s: how much is free is not known (%s); %.2f GB are needed',
            folder,
            error,
            need / 1e9,
        )
        return
    text = (
        f'{len(files)} files of up to {max(files.values()) / 1e9:.2f} GB and {cache / 1e9:.2f} '
        'GB of decoded photos, '
        f'{need / 1e9:.2f} GB more than is there'
    )
    if need > free:
        raise InputError(
            f'OUTPUT_DIR {folder}: the run writes {text}, {free / 1e9:.2f} GB are free; make '
            'space, raise '
            'SOLVER.STAGE2.CHECKPOINT_PERIOD, lower DATALOADER.CACHE_GB or choose another '
            'OUTPUT_DIR'
        )
    logger.info('Disk: the run writes %s; %.2f GB are free', text, free / 1e9)
