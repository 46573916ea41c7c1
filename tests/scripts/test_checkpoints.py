"""Checkpoints that the scripts write and read."""

import pytest
import torch

import test_clipreid
import train_clipreid
from processor import encoder
from utils.checkpoint import load_state
from utils.errors import InputError

pytestmark = pytest.mark.usefixtures('no_pictures')


def test_checkpoints_are_in_the_usual_memory_format(world):
    """Convolutions work in channels_last; what is saved is as the original saves it."""
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    for name in ('RN50_stage1_1.pth', 'RN50_1.pth'):
        state = torch.load(world.output / name, weights_only=True)
        assert all(tensor.is_contiguous() for tensor in state.values())
        assert state['image_encoder.layer1.0.conv2.weight'].dim() == 4


def test_safetensors_checkpoints(world):
    train_clipreid.main(world.args('OUTPUT_DIR', world.folder / 'pth'))
    train_clipreid.main(world.args('SOLVER.CHECKPOINT_FORMAT', 'safetensors'))
    names = {'RN50_stage1_2.safetensors', 'RN50_2.safetensors', 'RN50_best.safetensors'}
    assert {path.name for path in world.output.iterdir() if path.suffix == '.safetensors'} == names
    assert [path.name for path in world.output.glob('*.pth')] == ['resume.pth']
    for name in names:
        a, b = (
            load_state(world.output / name),
            load_state((world.folder / 'pth' / name).with_suffix('.pth')),
        )
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)
    weight = world.output / 'RN50_2.safetensors'
    assert test_clipreid.main(world.args('TEST.WEIGHT', weight)) == test_clipreid.main(
        world.args('TEST.WEIGHT', world.folder / 'pth' / 'RN50_2.pth')
    )
    train_clipreid.main(
        world.args(
            'MODEL.PRETRAIN_CHOICE',
            'self',
            'MODEL.PRETRAIN_PATH',
            weight,
            'OUTPUT_DIR',
            world.folder / 'self',
        )
    )


def test_a_checkpoint_that_is_replaced_while_it_is_read(world, monkeypatch):
    """results.json must not give the SHA-256 of other weights than were tested."""
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    weight = world.output / 'RN50_best.pth'
    make = encoder.make_test_model

    def replaced(cfg):
        model = make(cfg)
        (world.output / 'new').write_bytes(weight.read_bytes())
        (world.output / 'new').replace(weight)
        return model

    monkeypatch.setattr(encoder, 'make_test_model', replaced)
    with pytest.raises(InputError, match='was replaced while it was read'):
        test_clipreid.main(world.args('TEST.WEIGHT', weight))
    assert not (world.output / 'results.json').exists()
