"""The trail of a training in OUTPUT_DIR: its metrics, its checkpoints, and a state that it can be
gone on from.
"""

import hashlib
import logging
import signal
import threading
from pathlib import Path

import torch

from utils.checkpoint import check_state, copy_tree, save_state, save_tree
from utils.device import random_states, set_random_states
from utils.errors import InputError, Stopped
from utils.meter import EpochMeter, Stopwatch

logger = logging.getLogger('transreid')

KEY = 'SOLVER.RESUME'
STATE = 'resume.pth'
FORMAT = 2  # of the state: raised where an older version's would not do
FEATURE_TOLERANCE = (
    1e-2  # of a feature's length: another machine rounds otherwise, other photos are another matter
)


def _load_part(part, theirs):
    """``part.load_state_dict``, for optimizers without trust: torch's fused kernels write without a
    look at sizes.

    Only their moments come from the file. The settings are our own; the rates are set at the start
    of each epoch.
    """
    if isinstance(part, torch.optim.Optimizer):
        parameters = [parameter for group in part.param_groups for parameter in group['params']]
        names = {frozenset(moments) for moments in theirs['state'].values()}
        for index, moments in theirs['state'].items():
            if not 0 <= index < len(parameters) or len(names) > 1:
                raise ValueError(f"the optimizer's state {index} has no parameter or other names")
            for name, value in moments.items():
                like = torch.tensor(0.0) if name == 'step' else parameters[index]
                fits = (
                    isinstance(value, torch.Tensor)
                    and value.shape == like.shape
                    and value.dtype == like.dtype
                )
                if part.defaults.get('fused') and not fits:
                    raise ValueError(
                        f"{name} of the optimizer's state {index} does not have the shape of its "
                        'parameter'
                    )
        theirs = {'state': theirs['state'], 'param_groups': part.state_dict()['param_groups']}
    part.load_state_dict(theirs)


class Writer:
    """Writes one thing after another beside the work: a gigabyte takes seconds. An error is raised
    where it is next met.
    """

    def __init__(self):
        self._thread = self._error = None

    def start(self, write, *arguments):
        """Call ``write(*arguments)`` in a thread, once what was begun before is done."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(write, arguments), name='writer')
        self._thread.start()

    def _run(self, write, arguments):
        try:
            write(*arguments)
        except BaseException as error:
            self._error = error

    def wait(self, quiet=False):
        """Until nothing is being written. Raises what went wrong, unless ``quiet``: another error
        is on its way.
        """
        if self._thread:
            self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error and not quiet:
            raise error


class Journal:
    """Where a training is, and what it leaves behind. Of several processes the first alone writes.
    To be used in ``with``.

    The state (OUTPUT_DIR/resume.pth; only the newest is kept) holds what training has changed so
    far, and fingerprints of what
    it has not: the frozen weights, the photos' features of stage 1. It is written when all
    iterations of an epoch are done and before its end (checkpoint, validation), which a run that
    goes on does again; and between iterations, as :meth:`wants_state` says. Epochs' orders and
    augmentations are functions of (seed, epoch), so they need no state.

    model: with ``changed_names(stage)``. parts: stage -> {name: what has state_dict and
    load_state_dict}: optimizers, criterion. name: stem of checkpoints; suffix: 'pth' or
    'safetensors'. metrics: utils.logger.MetricsFile, None for those that do not write. minutes:
    between states within an epoch, 0 = none; period: epochs between states. facts: of the run, kept
    in the state for ``utils.run.resume.check_same_run``. about: of the model, noted in its
    checkpoints.

    stage, epoch (from 1), iteration (how many of the epoch are done), tally, best (validation mAP
    or None): the position.
    """

    def __init__(
        self,
        folder,
        model,
        parts,
        runtime,
        *,
        name,
        suffix='pth',
        metrics=None,
        minutes=0.0,
        period=1,
        facts=None,
        about=None,
    ):
        self.folder, self.model, self.parts, self.runtime, self.metrics = (
            Path(folder),
            model,
            parts,
            runtime,
            metrics,
        )
        self.name, self.suffix, self.minutes, self.period, self.facts = (
            name,
            suffix,
            minutes,
            period,
            facts or {},
        )
        self.about = about
        self.stage, self.epoch, self.iteration = 1, 1, 0
        self.tally, self.best, self.finished = EpochMeter(), None, False
        self._watch, self._since_state = Stopwatch(), Stopwatch()
        self._features, self._rest, self._asked = None, {}, False
        self._writer = Writer()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._writer.wait(quiet=error[0] is not None)

    # ------------------------------------------------------------------------------------ position

    def epochs(self, stage, count):
        """The epochs of ``stage`` that are left of 1 … ``count``. The first may be done in part,
        see ``iteration``.
        """
        if self.stage > stage:
            return
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

    def _go_to(self, stage, epoch):
        self.stage, self.epoch, self.iteration = stage, epoch, 0
        self.tally, self._watch = EpochMeter(), Stopwatch()

    @property
    def epoch_seconds(self):
        """Seconds that the epoch has taken so far, also before the run was stopped."""
        return self._watch.seconds

    # -------------------------------------------------------------------------------------- output

    def write(self, event, **facts):
        """A line of metrics.jsonl."""
        if self.metrics:
            self.metrics.write(event, **facts)

    def save_checkpoint(self, stem):
        """The model's plain state dict as {name}_{stem}.{suffix}."""
        if self.metrics:
            save_state(
                self.model.state_dict(),
                self.folder / f'{self.name}_{stem}.{self.suffix}',
                self.about,
            )

    def wants_state(self, iteration):
        """Note that ``iteration`` is done; whether it is time for :meth:`save`, or a signal has
        asked the run to end.
        """
        self.iteration = iteration
        self._asked = self.runtime.processes.any(self.runtime.stop.asked is not None)
        return self._asked or bool(self.minutes and self._since_state.seconds >= 60 * self.minutes)

    def end_epoch(self, count, validates=False):
        """All iterations of the epoch, of ``count`` epochs, are done: save, if it is this epoch's
        turn, or if a validation follows, which a signal may end.
        """
        if self.epoch % self.period == 0 or self.epoch == count or validates:
            self.save()

    def finish(self, count):
        """The last stage, of ``count`` epochs, is done."""
        if count and not self.finished:
            self.finished = True
            self.save()

    def save(self):
        """Write the state, while the training goes on. Raises ``Stopped`` afterwards, where a
        signal has asked for that.
        """
        if self.metrics:
            self._writer.wait()  # before the copy: two take twice the memory
            self._writer.start(save_tree, copy_tree(self._state()), self.folder / STATE)
        self._since_state = Stopwatch()
        if self._asked:
            self.settle()
            raise Stopped(self.runtime.stop.asked or signal.SIGTERM)

    def settle(self):
        """Wait until the state is on the disk. To be called before loaders fork their workers: a
        fork copies the locks that another thread holds, and nobody there gives them back.
        """
        self._writer.wait()

    def _state(self):
        tensors = self.model.state_dict()
        changed = self.model.changed_names(self.stage)
        return {
            'format': FORMAT,
            'stage': self.stage,
            'epoch': self.epoch,
            'iteration': self.iteration,
            'finished': self.finished,
            'best': self.best,
            'seconds': self.epoch_seconds,
            'tally': self.tally.state_dict(),
            'metrics_length': self.metrics.sync(),
            'tensors': {name: tensors[name] for name in changed},
            'parts': {name: part.state_dict() for name, part in self.parts[self.stage].items()},
            'scaler': self.runtime.scaler.state_dict(),
            'random': random_states(self.runtime.device),
            'rest': self._fingerprint_of_rest(),
            'features': self._features,
            'facts': self.facts,
        }

    def _fingerprint_of_rest(self):
        """SHA-256 of what the stage does not train, computed once a stage."""
        if self.stage not in self._rest:
            digest, changed = hashlib.sha256(), set(self.model.changed_names(self.stage))
            for name, tensor in self.model.state_dict().items():
                if name not in changed:
                    digest.update(name.encode())
                    digest.update(tensor.cpu().contiguous().numpy())
            self._rest[self.stage] = digest.hexdigest()
        return self._rest[self.stage]

    # ------------------------------------------------------------------------------------ going on

    def restore(self, state):
        """Go on from a ``state`` of :func:`utils.run.resume.read_state`. InputError where it does
        not fit this model.
        """
        where = self.folder / STATE
        self.stage, self.epoch, self.iteration = state['stage'], state['epoch'], state['iteration']
        self.best, self.finished, self._features = (
            state['best'],
            state['finished'],
            state['features'],
        )
        ours = self.model.state_dict()
        check_state(
            state['tensors'],
            {name: ours[name] for name in self.model.changed_names(self.stage)},
            where,
            KEY,
        )
        if state['rest'] != self._fingerprint_of_rest():
            raise InputError(
                f'{KEY}: what stage {self.stage} does not train is no longer what it was: the '
                'weights of '
                'MODEL.PRETRAIN_PATH have changed, or this version of torch draws other random '
                'numbers; '
                f'bring them back, or start anew without --resume'
            )
        for name, part in self.parts[self.stage].items():
            _load_part(part, state['parts'][name])
        if state['scaler'] and self.runtime.scaler.is_enabled():
            self.runtime.scaler.load_state_dict(state['scaler'])
        self.tally.load_state_dict(state['tally'])
        set_random_states(state['random'], self.runtime.device)
        self.model.load_state_dict(state['tensors'], strict=False)
        self._watch = Stopwatch(state['seconds'])

    def compare_features(self, features):
        """Stage 1's features (N, E), computed anew, against those of the run that goes on here.

        A warning where only the rounding differs, InputError where the photos or weights must have
        changed.
        """
        features = features.cpu()
        ours = {
            'sha256': hashlib.sha256(features.numpy()).hexdigest(),
            'lengths': features.norm(dim=1),
        }
        theirs, self._features = self._features, ours
        if theirs is None or theirs['sha256'] == ours['sha256']:
            return
        if theirs['lengths'].shape != ours['lengths'].shape or not torch.allclose(
            theirs['lengths'], ours['lengths'], rtol=FEATURE_TOLERANCE
        ):
            raise InputError(
                f"{KEY}: the photos' features are not those that stage 1 began with: photos or "
                'weights have '
                f'changed; bring them back, or start anew without --resume'
            )
        logger.warning(
            "the photos' features differ in their last digits from those that stage 1 began with "
            '(another machine, '
            'device or number of threads): the result will not be the same bit for bit'
        )
