"""SIGKILL at any moment: a run that goes on ends with the bits of one that was left alone."""

import random
import signal
import time

import pytest

from .harness import differences, epochs

pytestmark = pytest.mark.slow

STAGE_1, STAGE_2, BATCHES = 4, 6, 3  # epochs, epochs, batches of an epoch
SHAPE = epochs(STAGE_1, STAGE_2)
BEGIN = {
    'call': 'processor.processor_clipreid_stage1.do_train_stage1',
    'number': 1,
}  # also of a run that goes on
OFTEN = ('SOLVER.CHECKPOINT_MINUTES', 1e-5)  # a state after every iteration


def arguments(world, name, out, *opts):
    config, yml, *rest = world.args('OUTPUT_DIR', out, *SHAPE, *opts, name=name)
    return [config, yml, '--resume', *rest]


@pytest.fixture(scope='module')
def uninterrupted(zygote, faults_world, tmp_path_factory):
    """name → (folder of a run that nobody struck, seconds of its training)"""
    runs = {}
    for name in faults_world.weights:
        folder = tmp_path_factory.mktemp(name)
        run = zygote.start(
            folder / 'run', *arguments(faults_world, name, folder / 'out'), fault=BEGIN
        )
        run.wait_until_reached()
        start = time.monotonic()
        assert run.wait() == 0, run.err
        runs[name] = folder / 'out', time.monotonic() - start
    return runs


def write(file, number, **how):
    return {'call': 'os.fsync', 'about': file, 'number': number, 'cut': True} | how


# What to strike: at a call, so that every kind of moment is met.
PLACES = {
    'features of stage 1': (
        'RN50',
        (),
        {'call': 'processor.processor_clipreid_stage1.photo_features', 'number': 1, 'after': True},
    ),
    'an iteration of stage 1': (
        'ViT-B-16',
        OFTEN,
        {'call': 'torch.amp.GradScaler.step', 'number': 2 * BATCHES + 2},
    ),
    'an iteration of stage 2': (
        'RN50',
        OFTEN,
        {
            'call': 'torch.amp.GradScaler.step',
            'number': STAGE_1 * BATCHES + 3 * BATCHES + 2,
            'after': True,
        },
    ),
    'half a state': ('RN50', (), write('resume.pth', 7)),
    'half the first state': ('ViT-B-16', (), write('resume.pth', 1)),
    'half a state within an epoch': ('ViT-B-16', OFTEN, write('resume.pth', 5)),
    'a state not yet renamed': (
        'ViT-B-16',
        OFTEN,
        {'call': 'os.replace', 'about': 'resume.pth', 'number': 20},
    ),
    'a state just renamed': (
        'RN50',
        OFTEN,
        {'call': 'os.replace', 'about': 'resume.pth', 'number': 24, 'after': True},
    ),
    'half a checkpoint': ('RN50', (), write('RN50_4.pth', 1)),
    'half the best checkpoint': ('ViT-B-16', OFTEN, write('ViT-B-16_best.pth', 1)),
    'half a card of stage 1': ('RN50', (), write('card.json', 1)),
    'half a card of stage 2': ('RN50', (), write('card.json', 2)),
    'half the text of the card': ('ViT-B-16', (), write('card.md', 2)),
    'validation': (
        'ViT-B-16',
        (),
        {'call': 'processor.inference.extract_features', 'number': 3, 'after': True},
    ),
    'a line of the metrics': (
        'RN50',
        OFTEN,
        {'call': 'utils.logger.MetricsFile.write', 'number': 25, 'after': True},
    ),
}


def see_that_it_ends_the_same(zygote, world, name, folder, out, opts, reference):
    run = zygote.start(folder, *arguments(world, name, out, *opts))
    assert run.wait() == 0, run.err
    assert not differences(out, reference)


@pytest.mark.parametrize('place', PLACES)
def test_killed_at(zygote, faults_world, uninterrupted, tmp_path, record_property, place):
    name, opts, fault = PLACES[place]
    out = tmp_path / 'out'
    run = zygote.start(
        tmp_path / 'first',
        *arguments(faults_world, name, out, *opts),
        fault=fault | {'signal': signal.SIGKILL},
    )
    assert run.wait() == -signal.SIGKILL, (run.out[-1000:], run.err)
    record_property('kill', run.where)
    see_that_it_ends_the_same(
        zygote, faults_world, name, tmp_path / 'last', out, opts, uninterrupted[name][0]
    )


@pytest.mark.parametrize('case', range(20))
def test_killed_at_any_moment(zygote, faults_world, uninterrupted, tmp_path, record_property, case):
    """Some runs more than once. Where the run was faster than that, an earlier moment of another
    one is drawn.
    """
    rng = random.Random(case)
    name, opts, kills = ('RN50', 'ViT-B-16')[case % 2], (OFTEN, ())[case // 2 % 2], 1 + case % 3
    reference, seconds = uninterrupted[name]
    out, killed = tmp_path / '0', []
    for attempt in range(1, 30):
        run = zygote.start(
            tmp_path / 'run', *arguments(faults_world, name, out, *opts), fault=BEGIN
        )
        if run.reaches():
            time.sleep(seconds * rng.random() / attempt)
        if run.dump():
            run.kill()
            assert run.wait() == -signal.SIGKILL
            killed.append(run.where)
        else:
            assert run.wait() == 0, run.err
            if killed:  # at its very end, after the last state
                break
            out = tmp_path / str(attempt)
        if len(killed) == kills:
            break
    assert killed, 'never caught'
    for where in killed:
        record_property('kill', where)
    see_that_it_ends_the_same(zygote, faults_world, name, tmp_path / 'last', out, opts, reference)
