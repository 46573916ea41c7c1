"""Runs that are interrupted by a signal."""

from .harness import EVERY_EPOCH, epochs

STAGE_1, STAGE_2, BATCHES = 2, 3, 3
SHAPE = (*epochs(STAGE_1, STAGE_2), *EVERY_EPOCH, 'DATALOADER.SAMPLER', 'softmax')
STEP = 'torch.amp.GradScaler.step'

# where the signal comes: a call, and what the state then says (None: no state yet, the run starts
# again)
PLACES = {
    'before the first iteration': (
        {'call': 'model.make_model_clipreid.make_model', 'number': 1},
        None,
    ),
    'features of stage 1': (
        {'call': 'processor.processor_clipreid_stage1.photo_features', 'number': 1},
        None,
    ),
    'stage 1': ({'call': STEP, 'number': BATCHES + 2}, (1, 2, 2)),
    'stage 2': ({'call': STEP, 'number': STAGE_1 * BATCHES + BATCHES + 2}, (2, 2, 2)),
    'last iteration': ({'call': STEP, 'number': STAGE_1 * BATCHES + BATCHES}, (2, 1, None)),
    'validation': ({'call': 'processor.inference.extract_features', 'number': 2}, (2, 2, None)),
    'writing a state': (
        {'call': 'os.replace', 'about': 'resume.pth', 'number': STAGE_1 + 2},
        (2, None, None),
    ),
    'writing a checkpoint': (
        {'call': 'os.fsync', 'about': 'RN50_2.pth', 'number': 1},
        (2, 2, None),
    ),
}


def arguments(world, out, *opts, resume=True, name='RN50'):
    config, yml, *rest = world.args('OUTPUT_DIR', out, *SHAPE, *opts, name=name)
    return [config, yml, *(['--resume'] if resume else []), *rest]


def snapshot(folder):
    return {
        p.name: (p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_size) for p in folder.iterdir()
    }
