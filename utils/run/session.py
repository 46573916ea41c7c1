"""Sets up a run: log, signals, processes, lock of OUTPUT_DIR, device, seed and journal."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from utils.device import Runtime, make_runtime, process_backend, seed_everything
from utils.distributed import several_processes
from utils.errors import InputError
from utils.files import drop_leftovers, free_bytes, make_output_dir
from utils.logger import MetricsFile, close_logger, log_to_file, logger, setup_logger
from utils.run.journal import STATE, Journal, SavePolicy, Stateful, TrainedModel
from utils.run.lock import output_lock
from utils.run.provenance import log_run, save_run
from utils.run.resume import is_finished, is_own, read_state, resume, set_aside
from utils.run.signals import StopRequest
from utils.torch_errors import translated_errors

# Facts and keys that rounding depends on
ENVIRONMENT = (
    *('device', 'precision', 'processes', 'torch'),
    *('MODEL.COMPILE', 'SOLVER.DETERMINISTIC'),
)


@dataclass(frozen=True)
class Session:
    """A run with its OUTPUT_DIR, device and processes."""

    cfg: CfgNode
    folder: Path  # OUTPUT_DIR
    runtime: Runtime
    cleanup: contextlib.ExitStack  # everything registered here is closed before the run ends

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.runtime.processes.main


@dataclass(frozen=True)
class FinishedRun:
    """A training run that has already done all its epochs."""

    best: float | None  # validation mAP


@dataclass(frozen=True)
class TrainingSession(Session):
    """A training run in its OUTPUT_DIR."""

    about: dict[str, Any]  # for run.json; see utils.run.provenance.log_run
    config: dict[str, Any]  # flat, without the keys that have no effect
    state: dict[str, Any] | None  # the state it resumes from; None = a new run

    @contextlib.contextmanager
    def journal(
        self,
        name: str,
        model: TrainedModel,
        parts: Mapping[int, Mapping[str, Stateful]],
        fingerprints: Mapping[str, Any],
        cache_bytes: int,
    ) -> Iterator[Journal]:
        """Resume or start the run: check its state and the disk, then open its files.

        A run that resumes from another folder's state is new in this folder. Within the ``with``
        block, signals wait for the next save of the journal.

        Args:
            name: The name of the image encoder; checkpoint files begin with it.
            model: The model.
            parts: Stage -> name -> optimizers and criterion to be saved and restored.
            fingerprints: Split -> fingerprint of its photos; 'val' only with a validation.
            cache_bytes: Bytes that the decoded photos of this process take in OUTPUT_DIR.

        Raises:
            InputError: The state belongs to another run, or the disk is too full.
        """
        journal = self._make_journal(name, model, parts, fingerprints)
        resumed = self.state is not None and is_own(self.cfg.SOLVER.RESUME, self.folder)
        if not resumed:
            journal.best = None  # the best checkpoint is in the other folder
        with contextlib.ExitStack() as stack:
            if self.main:
                files = planned_files(journal, self.cfg.SOLVER, 'val' in fingerprints)
                cache = cache_bytes * self.runtime.processes.local_world_size
                check_disk(self.folder, files, cache, new=not resumed)
                log_to_file(self.folder, 'train_log.txt', append=resumed)
                if not resumed:
                    set_aside(self.folder)
                length = self.state['metrics_length'] if self.state and resumed else None
                journal.metrics = stack.enter_context(MetricsFile(self.folder, length))
                save_run(self.cfg, self.about | {'data': fingerprints}, self.folder, resumed)
            stack.enter_context(journal)
            stack.enter_context(self.runtime.stop.patiently())
            yield journal

    def _make_journal(
        self,
        name: str,
        model: TrainedModel,
        parts: Mapping[int, Mapping[str, Stateful]],
        fingerprints: Mapping[str, Any],
    ) -> Journal:
        solver, settings = self.cfg.SOLVER, self.about | self.config
        policy = SavePolicy(
            name, solver.CHECKPOINT_FORMAT, solver.CHECKPOINT_MINUTES, solver.RESUME_PERIOD
        )
        facts = {
            'config': self.config,
            'data': fingerprints,
            'environment': {key: settings[key] for key in ENVIRONMENT},
            'model': model.about,
        }
        journal = Journal(self.folder, model, parts, self.runtime, policy, facts)
        if self.state is not None:
            resume(journal, self.state)
        return journal


@contextlib.contextmanager
def training_session(
    cfg: CfgNode, config: dict[str, Any], ignored: Collection[str]
) -> Iterator[TrainingSession | FinishedRun]:
    """Prepare a training run in OUTPUT_DIR; bad input is rejected before any file is written.

    Args:
        cfg: The config.
        config: The config as a flat dict.
        ignored: The keys that have no effect.
    """
    stop = StopRequest()
    batches = 'the batches (IMS_PER_BATCH of SOLVER.STAGE1, SOLVER.STAGE2, TEST)'
    with stop.listening(), _session(cfg, 'train', batches, stop) as session:
        state = _common_state(session)
        effective = {key: value for key, value in config.items() if key not in ignored}
        if state and is_own(cfg.SOLVER.RESUME, session.folder) and is_finished(state, effective):
            logger.info(
                '%s: this run is finished: %d epochs of stage 2, best validation mAP %s',
                cfg.OUTPUT_DIR,
                cfg.SOLVER.STAGE2.MAX_EPOCHS,
                state['best'],
            )
            yield FinishedRun(state['best'])
            return
        about = log_run(cfg, session.runtime, logger) | {'config': config}
        if cfg.SOLVER.STAGE1.MAX_EPOCHS == cfg.SOLVER.STAGE2.MAX_EPOCHS == 0:
            logger.warning(
                'SOLVER.STAGE1.MAX_EPOCHS and SOLVER.STAGE2.MAX_EPOCHS are 0: nothing will be '
                'trained'
            )
        if session.main:
            drop_leftovers(session.folder)
        yield TrainingSession(**vars(session), about=about, config=effective, state=state)


def evaluation_session(
    cfg: CfgNode, kind: str = 'test'
) -> contextlib.AbstractContextManager[Session]:
    """Prepare a test in OUTPUT_DIR. A training run may be active there, another test may not.

    Args:
        cfg: The config.
        kind: 'test', or another run that does not train; two of one kind exclude each other.
    """
    batches = 'TEST.IMS_PER_BATCH (photos at once), or the lists (ranking holds queries x gallery)'
    return _session(cfg, kind, batches, StopRequest())


@contextlib.contextmanager
def _session(cfg: CfgNode, kind: str, batches: str, stop: StopRequest) -> Iterator[Session]:
    setup_logger()
    backend = process_backend(cfg.MODEL.DEVICE)
    try:
        with contextlib.ExitStack() as cleanup:
            processes = cleanup.enter_context(
                several_processes(cfg.MODEL.DIST_TRAIN, backend, stop)
            )
            cleanup.enter_context(translated_errors(batches))
            # if one of several processes ended alone, the others would fail
            stop.second_interrupt_ends = processes.world_size == 1
            if not processes.main:
                setup_logger(quiet=True)
            folder = make_output_dir(cfg.OUTPUT_DIR)
            if processes.main:
                cleanup.enter_context(output_lock(folder, kind))
            runtime = make_runtime(
                cfg.MODEL.DEVICE,
                cfg.SOLVER.AMP,
                cfg.SOLVER.DETERMINISTIC,
                processes,
                stop,
                compiles=cfg.MODEL.COMPILE,
            )
            seed_everything(cfg.SOLVER.SEED)
            yield Session(cfg, folder, runtime, cleanup)
    except InputError as error:
        logger.error('%s', error)
        raise
    finally:
        close_logger()


def _common_state(session: Session) -> dict[str, Any] | None:
    """Return the state to resume from, or None; check that all processes see the same."""
    state = read_state(session.cfg.SOLVER.RESUME, session.folder)
    position = state and [state[name] for name in ('stage', 'epoch', 'iteration', 'finished')]
    if session.runtime.processes.broadcast(position) != position:
        raise InputError(
            f'OUTPUT_DIR {session.folder} is not the same folder in all processes; put it on a '
            'disk that all of them share'
        )
    if state is None and session.cfg.SOLVER.RESUME:
        logger.info('nothing to resume: there is no %s; a new run starts', session.folder / STATE)
    return state


def planned_files(journal: Journal, solver: CfgNode, validates: bool) -> dict[str, int]:
    """Return the name and size in bytes of each file that a run still has to write.

    Args:
        journal: The journal at the run's position.
        solver: SOLVER of the config, with the epochs and periods of both stages.
        validates: Whether there will be a best checkpoint.
    """
    tensors = journal.model.state_dict()
    name, suffix = journal.policy.name, journal.policy.suffix
    checkpoint = sum(tensor.nbytes for tensor in tensors.values())
    trained = sum(tensors[changed].nbytes for changed in journal.model.changed_names(2))
    files = {STATE: 3 * trained}  # the weights and Adam's two moments
    for number, stage, stem in ((1, solver.STAGE1, 'stage1_'), (2, solver.STAGE2, '')):
        period, last = stage.CHECKPOINT_PERIOD, stage.MAX_EPOCHS
        for epoch in {*range(period, last + 1, period), last} - {0}:
            if (number, epoch) >= (journal.stage, journal.epoch):
                files[f'{name}_{stem}{epoch}.{suffix}'] = checkpoint
    if validates:
        files[f'{name}_best.{suffix}'] = checkpoint
    return files


def check_disk(
    folder: str | Path, files: Mapping[str, int], cache: int = 0, new: bool = False
) -> None:
    """Log how much disk space the run needs.

    Args:
        folder: OUTPUT_DIR.
        files: File name -> bytes of the files to be written; existing ones will be replaced.
        cache: Bytes of the decoded photos.
        new: Whether the run is new; an earlier run's state and best checkpoint are then kept.

    Raises:
        InputError: There is not enough free space.
    """
    largest, free = max(files.values()), free_bytes(folder)
    need = largest + cache  # a file is written beside the one that it replaces
    for name, size in files.items():
        path = Path(folder, name)
        kept = new and (name == STATE or '_best.' in name)
        need += max(0, size - (path.stat().st_size if path.exists() and not kept else 0))
    text = (
        f'{len(files)} files of up to {largest / 1e9:.2f} GB and {cache / 1e9:.2f} GB of decoded '
        f'photos, which takes {need / 1e9:.2f} GB more than now'
    )
    if need > free:
        raise InputError(
            f'OUTPUT_DIR {folder}: the run writes {text}, but only {free / 1e9:.2f} GB are free; '
            'free some space, raise SOLVER.STAGE2.CHECKPOINT_PERIOD, lower DATALOADER.CACHE_GB or '
            'choose another OUTPUT_DIR'
        )
    logger.info('Disk: the run writes %s; %.2f GB are free', text, free / 1e9)
