"""The trail of a training in OUTPUT_DIR: its metrics, its checkpoints, and its resumable state."""

import hashlib
import signal
from collections.abc import Iterator, Mapping
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
FORMAT = 2  # of the state: raised where an older version's would not do
# Of a feature's length: another machine rounds otherwise; other photos differ by more.
FEATURE_TOLERANCE = 1e-2


class Stateful(Protocol):
    """Optimizers, modules."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class TrainedModel(Stateful, Protocol):
    """A model that knows what each stage changes in it."""

    @property
    def about(self) -> dict[str, str]: ...

    def changed_names(self, stage: int) -> list[str]: ...


@dataclass(frozen=True)
class SavePolicy:
    """How and when a training saves."""

    name: str  # stem of the checkpoints' file names
    suffix: str = 'pth'  # or 'safetensors'
    minutes: float = 0.0  # between states within an epoch, 0 = none
    period: int = 1  # epochs between states


class Journal:
    """Where a training is, and what it leaves behind. To be used in ``with``.

    Of several processes the first alone writes. The state (OUTPUT_DIR/resume.pth; only the newest
    is kept) holds what training has changed so far, and fingerprints of what it has not: the frozen
    weights, the photos' features of stage 1. It is written when all iterations of an epoch are done
    and before its end (checkpoint, validation), which a resumed run does again; and between
    iterations, as :meth:`wants_state` says. Epochs' orders and augmentations are functions of
    (seed, epoch), so they need no state.

    Args:
        folder: OUTPUT_DIR.
        model: The model, whole.
        parts: Stage -> name -> what else changes in that stage: optimizers, criterion.
        runtime: Device and processes.
        policy: How and when to save.
        facts: Of the run, kept in the state for ``utils.run.resume.check_same_run``.

    Attributes:
        stage, epoch, iteration: The position; epochs from 1, ``iteration`` of the epoch are done.
        meter: Numbers of the epoch so far.
        epoch_watch: How long the epoch has taken so far, before an interruption too.
        finished: Whether the last epoch of stage 2 is done.
        best: Highest validation mAP, or None.
        metrics: The metrics file; None for processes that do not write.
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
        """The epochs of ``stage`` that are left of 1 … ``count``.

        Of the first one ``iteration`` iterations may be done.
        """
        if self.stage < stage:
            self._go_to(stage, 1)
            self.save()
            self.settle()
        elif self.finished:  # and MAX_EPOCHS was raised afterwards
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
        """A line of metrics.jsonl."""
        if self.metrics:
            self.metrics.write(event, **facts)

    def save_checkpoint(self, stem: str) -> None:
        """The model's plain state dict as {name}_{stem}.{suffix}."""
        if self.metrics:
            file = f'{self.policy.name}_{stem}.{self.policy.suffix}'
            save_state(self.model.state_dict(), self.folder / file, self.model.about)

    def wants_state(self, iteration: int) -> bool:
        """Note that ``iteration`` is done; whether it is time to :meth:`save`.

        It is after the set number of minutes, and when a signal has asked the run to end.
        """
        self.iteration = iteration
        self._stopping = self.runtime.processes.any(self.runtime.stop.asked is not None)
        minutes = self.policy.minutes
        return self._stopping or bool(minutes and self._since_state.seconds >= 60 * minutes)

    def save(self) -> None:
        """Write the state, while the training goes on.

        Raises:
            Stopped: Once the state is written, where a signal has asked for that.
        """
        if self.metrics:
            self.settle()  # before the copy: two take twice the memory
            state = copy_tree(self._state(self.metrics.sync()))
            self._writer = ThreadPoolExecutor(1)
            self._written = self._writer.submit(save_tree, state, self.folder / STATE)
        self._since_state = Stopwatch()
        if self._stopping:
            self.settle()
            raise Stopped(self.runtime.stop.asked or signal.SIGTERM)

    def settle(self) -> None:
        """Wait until the state is on the disk, and its thread has ended.

        To be called before loaders fork their workers: a fork copies the locks that another thread
        holds, and nobody there releases them.
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
        """SHA-256 of what the stage does not train, computed once per stage."""
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
        """Resume from a ``state`` of :func:`utils.run.resume.read_state`.

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
                f'{KEY}: what stage {self.stage} does not train is no longer what it was: the '
                'weights of MODEL.PRETRAIN_PATH have changed, or this version of torch draws other '
                'random numbers; bring them back, or start anew without --resume'
            )
        if state['scaler'] and self.runtime.scaler.is_enabled():
            self.runtime.scaler.load_state_dict(state['scaler'])
        self.meter.load_state_dict(state['tally'])
        set_random_states(state['random'], self.runtime.device)
        self.model.load_state_dict({**tensors, **state['tensors']})
        self.epoch_watch = Stopwatch(state['seconds'])

    def compare_features(self, features: torch.Tensor) -> None:
        """Compare stage 1's features (N, E) with those that the resumed run began with.

        Where only the rounding differs, a warning.

        Raises:
            InputError: The photos or weights must have changed.
        """
        lengths, earlier = features.cpu().norm(dim=1), self._features
        self._features = {'lengths': lengths}
        if earlier is None or torch.equal(earlier['lengths'], lengths):
            return
        if earlier['lengths'].shape != lengths.shape or not torch.allclose(
            earlier['lengths'], lengths, rtol=FEATURE_TOLERANCE
        ):
            raise InputError(
                f"{KEY}: the photos' features are not those that stage 1 began with: photos or "
                'weights have changed; bring them back, or start anew without --resume'
            )
        logger.warning(
            "the photos' features differ in their last digits from those that stage 1 began with "
            '(another machine, device or number of threads): the result will not be the same bit '
            'for bit'
        )
