"""The files of a training run in OUTPUT_DIR: metrics, checkpoints and the state to resume from."""

import hashlib
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from utils.checkpoint import check_state, copy_tree, save_state, save_tree
from utils.device import Runtime, random_states, set_random_states
from utils.errors import InputError, Stopped
from utils.logger import MetricsFile, logger
from utils.meter import EpochMeter, Stopwatch

KEY = 'SOLVER.RESUME'
STATE = 'resume.pth'
FORMAT = 2  # version of the state file; increased when older states can no longer be read
# Relative tolerance for the length of a feature: rounding on another machine stays below it, while
# other photos exceed it.
FEATURE_TOLERANCE = 1e-2


class Stateful(Protocol):
    """An optimizer or a module."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class TrainedModel(Stateful, Protocol):
    """A model that knows which of its tensors each stage changes."""

    @property
    def about(self) -> dict[str, str]: ...

    def changed_names(self, stage: int) -> list[str]: ...


@dataclass(frozen=True)
class SavePolicy:
    """How and when a training run saves."""

    name: str  # file names of checkpoints begin with it
    suffix: str = 'pth'  # or 'safetensors'
    minutes: float = 0.0  # minutes between two states within an epoch; 0 = none
    period: int = 1  # epochs between two states


class Journal:
    """The position of a training run, and the files it writes. Use it in a ``with`` statement.

    If there are several processes, only the first writes. The state (OUTPUT_DIR/resume.pth, only
    the newest is kept) holds everything that training has changed so far. Of the frozen weights and
    the features of stage 1 it holds fingerprints. It is written after the last iteration of an
    epoch, before the epoch's checkpoint and validation: a resumed run does these again. Between
    iterations it is written when :meth:`wants_state` says so. The order of the photos and their
    augmentation depend on (seed, epoch) alone, so they need no state.

    Args:
        folder: OUTPUT_DIR.
        model: The whole model.
        parts: Stage -> name -> optimizers and criterion, which the stage changes too.
        runtime: The device and processes.
        policy: How and when to save.
        facts: The facts that identify the run; see ``utils.run.resume.check_same_run``.

    Attributes:
        stage, epoch, iteration: The position. Epochs count from 1; ``iteration`` is the number of
            iterations of the epoch that are done.
        meter: The numbers of the epoch so far.
        epoch_watch: Time that the epoch has taken so far, including the time before an
            interruption.
        finished: Whether the last epoch of stage 2 is done.
        best: Highest validation mAP, or None.
        metrics: The metrics file; None in processes that do not write.
        describe: Called at the end of each stage, when its last checkpoint is on the disk and
            before the state says that it is done; writes the card of the model.
    """

    def __init__(
        self,
        folder: str | Path,
        model: TrainedModel,
        parts: Mapping[int, Mapping[str, Stateful]],
        runtime: Runtime,
        policy: SavePolicy,
        facts: Mapping[str, Any],
    ):
        self.folder, self.model, self.parts = Path(folder), model, parts
        self.runtime, self.policy, self.facts = runtime, policy, facts
        self.metrics: MetricsFile | None = None
        self.describe: Callable[[], None] = lambda: None
        self.stage, self.epoch, self.iteration = 1, 1, 0
        self.meter, self.finished = EpochMeter(), False
        self.best: float | None = None
        self.epoch_watch, self._since_state = Stopwatch(), Stopwatch()
        self._features: dict[str, Any] | None = None
        self._frozen_sha256: dict[int, str] = {}
        self._stopping = False
        self._writer, self._written = ThreadPoolExecutor(1), Future[None]()
        self._written.set_result(None)

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.shutdown()
        if error[0] is None:
            self.settle()

    # ------------------------------------------------------------------------------------ position

    def epochs(self, stage: int, count: int) -> Iterator[int]:
        """Yield the remaining epochs of ``stage``, up to ``count``.

        In a resumed run, ``iteration`` iterations of the first one are already done.
        """
        if self.stage < stage:
            self._go_to(stage, 1)
            self.save()
            self.settle()
        elif self.finished:  # MAX_EPOCHS was raised since then
            self.finished = False
            self._go_to(stage, self.epoch + 1)
        for epoch in range(self.epoch, count + 1):
            if epoch != self.epoch:
                self._go_to(stage, epoch)
            yield epoch

    def _go_to(self, stage: int, epoch: int) -> None:
        self.stage, self.epoch, self.iteration = stage, epoch, 0
        self.meter, self.epoch_watch = EpochMeter(), Stopwatch()

    # -------------------------------------------------------------------------------------- output

    def write(self, event: str, **facts: Any) -> None:
        """Write a line of metrics.jsonl."""
        if self.metrics:
            self.metrics.write(event, **facts)

    def save_checkpoint(self, stem: str) -> None:
        """Write the model's plain state dict to {name}_{stem}.{suffix}."""
        if self.metrics:
            file = f'{self.policy.name}_{stem}.{self.policy.suffix}'
            save_state(self.model.state_dict(), self.folder / file, self.model.about)

    def wants_state(self, iteration: int) -> bool:
        """Note that ``iteration`` is done, and return whether it is time to :meth:`save`.

        It is time after ``SavePolicy.minutes``, and when a signal has asked the run to end.
        """
        self.iteration = iteration
        self._stopping = self.runtime.processes.any(self.runtime.stop.asked is not None)
        minutes = self.policy.minutes
        return self._stopping or bool(minutes and self._since_state.seconds >= 60 * minutes)

    def save(self) -> None:
        """Write the state in a thread, while training continues.

        Raises:
            Stopped: A signal has asked the run to end; the state is on the disk by then.
        """
        if self.metrics:
            self.settle()  # before copying: two copies would take twice the memory
            state = copy_tree(self._state(self.metrics.sync()))
            self._writer = ThreadPoolExecutor(1)
            self._written = self._writer.submit(save_tree, state, self.folder / STATE)
        self._since_state = Stopwatch()
        if self._stopping:
            self.settle()
            raise Stopped(self.runtime.stop.asked or signal.SIGTERM)

    def settle(self) -> None:
        """Wait until the state is on the disk and the thread that writes it has ended.

        Call it before loaders fork their workers: a fork copies locks that another thread holds,
        and nothing in the worker would release them.
        """
        self._writer.shutdown()
        self._written.result()

    def _state(self, metrics_length: int) -> dict[str, Any]:
        tensors = self.model.state_dict()
        return {
            'format': FORMAT,
            'stage': self.stage,
            'epoch': self.epoch,
            'iteration': self.iteration,
            'finished': self.finished,
            'best': self.best,
            'seconds': self.epoch_watch.seconds,
            'tally': self.meter.state_dict(),
            'metrics_length': metrics_length,
            'tensors': {name: tensors[name] for name in self.model.changed_names(self.stage)},
            'parts': {name: part.state_dict() for name, part in self.parts[self.stage].items()},
            'scaler': self.runtime.scaler.state_dict(),
            'random': random_states(self.runtime.device),
            'rest': self._fingerprint_of_frozen(),
            'features': self._features,
            'facts': self.facts,
        }

    def _fingerprint_of_frozen(self) -> str:
        """Return the SHA-256 of the weights that the stage does not train."""
        if self.stage not in self._frozen_sha256:
            digest, changed = hashlib.sha256(), set(self.model.changed_names(self.stage))
            for name, tensor in self.model.state_dict().items():
                if name not in changed:
                    digest.update(name.encode())
                    digest.update(tensor.cpu().contiguous().numpy())
            self._frozen_sha256[self.stage] = digest.hexdigest()
        return self._frozen_sha256[self.stage]

    # ------------------------------------------------------------------------------------ resuming

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a ``state`` that :func:`utils.run.resume.read_state` has returned.

        Raises:
            InputError: The state does not fit this model, or the frozen weights have changed.
        """
        self.stage, self.epoch, self.iteration = state['stage'], state['epoch'], state['iteration']
        self.best, self.finished = state['best'], state['finished']
        self._features = state['features']
        tensors = self.model.state_dict()
        expected = {name: tensors[name] for name in self.model.changed_names(self.stage)}
        check_state(state['tensors'], expected, self.folder / STATE, KEY)
        if state['rest'] != self._fingerprint_of_frozen():
            raise InputError(
                f'{KEY}: the weights that stage {self.stage} does not train have changed: '
                'MODEL.PRETRAIN_PATH holds other weights, or this version of torch draws other '
                'random numbers; restore them, or start a new run without --resume'
            )
        if state['scaler'] and self.runtime.scaler.is_enabled():
            self.runtime.scaler.load_state_dict(state['scaler'])
        self.meter.load_state_dict(state['tally'])
        set_random_states(state['random'], self.runtime.device)
        self.model.load_state_dict({**tensors, **state['tensors']})
        self.epoch_watch = Stopwatch(state['seconds'])

    def compare_features(self, features: torch.Tensor) -> None:
        """Compare stage 1's features (N, E) with those that the interrupted run had.

        If they differ only by rounding, log a warning.

        Raises:
            InputError: They differ by more: photos or weights have changed.
        """
        lengths, earlier = features.cpu().norm(dim=1), self._features
        self._features = {'lengths': lengths}
        if earlier is None or torch.equal(earlier['lengths'], lengths):
            return
        if earlier['lengths'].shape != lengths.shape or not torch.allclose(
            earlier['lengths'], lengths, rtol=FEATURE_TOLERANCE
        ):
            raise InputError(
                f'{KEY}: the features of the photos differ from those at the start of stage 1: '
                'photos or weights have changed; restore them, or start a new run without --resume'
            )
        logger.warning(
            'the features of the photos differ in their last digits from those at the start of '
            'stage 1 (another machine, device or number of threads): the result will not be '
            'bit-identical'
        )
