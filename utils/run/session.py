"""What keeps a run safe: log, signals, processes, one run per OUTPUT_DIR, device, seed, journal."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from utils.device import Runtime, make_runtime, process_backend, seed_everything
from utils.distributed import Processes, several_processes
from utils.errors import InputError
from utils.files import drop_leftovers, make_output_dir
from utils.logger import MetricsFile, close_logger, log_to_file, setup_logger
from utils.run.disk import check_disk, planned_files
from utils.run.journal import STATE, Journal, SavePolicy
from utils.run.lock import output_lock
from utils.run.parts import Stateful, TrainedModel
from utils.run.provenance import log_run, save_run
from utils.run.resume import facts_of, finished_run, is_own, read_state, resume, set_aside
from utils.run.signals import StopRequest
from utils.torch_errors import translated_errors

logger = logging.getLogger('transreid')
LOGGERS = {'train': logger, 'test': logging.getLogger('transreid.test')}


@dataclass(frozen=True)
class Session:
    """A run that has its OUTPUT_DIR, its device and its processes.

    Attributes:
        cfg: The config.
        folder: OUTPUT_DIR.
        runtime: Device, precision and processes.
        cleanup: What is to be closed before the run leaves its OUTPUT_DIR.
    """

    cfg: CfgNode
    folder: Path
    runtime: Runtime
    cleanup: contextlib.ExitStack

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.runtime.processes.main


@dataclass(frozen=True)
class Data:
    """What a training's journal must know of the photos.

    Attributes:
        fingerprints: Split -> fingerprint.
        cache_bytes: That decoded photos will take in OUTPUT_DIR, of this process.
        validates: Whether there is a validation set.
    """

    fingerprints: Mapping[str, Any]
    cache_bytes: int
    validates: bool


@dataclass(frozen=True)
class FinishedRun:
    """A training that was asked for again when there was nothing left to do."""

    best: float | None  # validation mAP


@dataclass(frozen=True)
class TrainingSession(Session):
    """A training in its OUTPUT_DIR.

    Attributes:
        about: What the run is, see :func:`utils.run.provenance.describe_run`.
        config: The config, flat.
        state: What it resumes from, None = it is new.
    """

    about: dict[str, Any]
    config: dict[str, Any]
    state: dict[str, Any] | None

    @contextlib.contextmanager
    def journal(
        self,
        name: str,
        model: TrainedModel,
        parts: Mapping[int, Mapping[str, Stateful]],
        data: Data,
    ) -> Iterator[Journal]:
        """The journal of the run, resumed or new; from here on files are written.

        A state of another folder starts a run that is new in this one. Within, signals wait for the
        journal's next save.

        Args:
            name: Of the image encoder, the stem of checkpoints.
            model: The model.
            parts: Stage -> name -> what a resumed run must restore besides the model.
            data: The photos.

        Raises:
            InputError: The state is not of this run, or the disk has no room.
        """
        solver = self.cfg.SOLVER
        policy = SavePolicy(
            name, solver.CHECKPOINT_FORMAT, solver.CHECKPOINT_MINUTES, solver.RESUME_PERIOD
        )
        facts = facts_of(self.config, data.fingerprints, self.about, model.about)
        journal = Journal(self.folder, model, parts, self.runtime, policy, facts)
        resumed = self._resume_or_start(journal, data)
        with self._metrics(resumed) as journal.metrics, journal, self.runtime.stop.patiently():
            if self.main:
                about = self.about | {'data': data.fingerprints, 'config': self.config}
                save_run(self.cfg, about, self.folder, resumed)
            yield journal

    def _resume_or_start(self, journal: Journal, data: Data) -> bool:
        """Whether the run of this OUTPUT_DIR resumes."""
        processes = self.runtime.processes
        if self.state is not None:
            resume(journal, self.state)
        resumed = self.state is not None and is_own(self.cfg.SOLVER.RESUME, self.folder)
        if self.main:
            files = planned_files(journal, self.cfg.SOLVER, data.validates)
            cache = data.cache_bytes * processes.local_world_size
            check_disk(self.folder, files, cache, new=not resumed)
            log_to_file(self.folder, 'train_log.txt', append=resumed)
        if not resumed:
            journal.best = None  # the best checkpoint of the other folder is not here
            if self.main:
                set_aside(self.folder)
        return resumed

    def _metrics(self, resumed: bool) -> contextlib.AbstractContextManager[MetricsFile | None]:
        """metrics.jsonl, cut back to where it was at the state that the run resumes from."""
        if not self.main:
            return contextlib.nullcontext()
        length = self.state['metrics_length'] if self.state and resumed else None
        return MetricsFile(self.folder, length)


@contextlib.contextmanager
def training_session(
    cfg: CfgNode, config: dict[str, Any]
) -> Iterator[TrainingSession | FinishedRun]:
    """A training in OUTPUT_DIR; whatever can be rejected is, before a file of the run is made.

    Args:
        cfg: The config.
        config: The same, flat.
    """
    stop = StopRequest()
    batches = 'the batches (IMS_PER_BATCH of SOLVER.STAGE1, SOLVER.STAGE2, TEST)'
    with stop.listening(), _reported(cfg, 'train', batches, stop) as processes:
        # each process looks for itself, but all do what the first has found
        finished, best = processes.broadcast(
            finished_run(cfg.SOLVER.RESUME, cfg.OUTPUT_DIR, config)
        )
        if finished:  # whatever has become of its photos
            _log_finished(cfg, best, processes)
            yield FinishedRun(best)
            return
        with _in_output_dir(cfg, 'train', processes, stop) as session:
            about = log_run(cfg, session.runtime, logger)
            if cfg.SOLVER.STAGE1.MAX_EPOCHS == cfg.SOLVER.STAGE2.MAX_EPOCHS == 0:
                logger.warning(
                    'SOLVER.STAGE1.MAX_EPOCHS and SOLVER.STAGE2.MAX_EPOCHS are 0: nothing will be '
                    'trained'
                )
            if session.main:
                drop_leftovers(session.folder)
            state = _common_state(cfg, session.folder, processes)
            yield TrainingSession(**vars(session), about=about, config=config, state=state)


@contextlib.contextmanager
def evaluation_session(cfg: CfgNode) -> Iterator[Session]:
    """A test in OUTPUT_DIR. A training may be at work there, another test may not."""
    batches = 'TEST.IMS_PER_BATCH (photos at once), or the lists (ranking holds queries x gallery)'
    with (
        _reported(cfg, 'test', batches) as processes,
        _in_output_dir(cfg, 'test', processes) as run,
    ):
        yield run


@contextlib.contextmanager
def _reported(
    cfg: CfgNode, kind: str, batches: str, stop: StopRequest | None = None
) -> Iterator[Processes]:
    """The processes of the run, and its errors in its log."""
    setup_logger()
    try:
        with (
            several_processes(
                cfg.MODEL.DIST_TRAIN, process_backend(cfg.MODEL.DEVICE), stop or StopRequest()
            ) as processes,
            translated_errors(batches),
        ):
            if stop:
                # of several processes, one that leaves alone makes the others fail
                stop.second_interrupt_ends = processes.world_size == 1
            if not processes.main:
                setup_logger(quiet=True)
            yield processes
    except InputError as error:
        LOGGERS[kind].error('%s', error)
        raise
    finally:
        close_logger()


@contextlib.contextmanager
def _in_output_dir(
    cfg: CfgNode, lock: str, processes: Processes, stop: StopRequest | None = None
) -> Iterator[Session]:
    folder = make_output_dir(cfg.OUTPUT_DIR)
    with (
        output_lock(folder, lock) if processes.main else contextlib.nullcontext(),
        contextlib.ExitStack() as cleanup,
    ):
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


def _log_finished(cfg: CfgNode, best: float | None, processes: Processes) -> None:
    if processes.main:
        # removes the lock file of a run that was killed at its very end
        with contextlib.suppress(InputError), output_lock(cfg.OUTPUT_DIR):
            pass
    logger.info(
        '%s: this run is finished: %d epochs of stage 2, best validation mAP %s',
        cfg.OUTPUT_DIR,
        cfg.SOLVER.STAGE2.MAX_EPOCHS,
        best,
    )


def _common_state(cfg: CfgNode, folder: Path, processes: Processes) -> dict[str, Any] | None:
    """The state to resume from or None, the same for all processes."""
    state = read_state(cfg.SOLVER.RESUME, folder)
    position = state and [state[name] for name in ('stage', 'epoch', 'iteration')]
    if processes.broadcast(position) != position:
        raise InputError(
            f'OUTPUT_DIR {folder} is not the same folder for all processes; put it on a disk '
            'that all share'
        )
    if state is None and cfg.SOLVER.RESUME:
        logger.info('nothing to resume: there is no %s; a run starts', folder / STATE)
    return state
