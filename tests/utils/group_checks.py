"""What every process of a group checks: they communicate, and train like a single process."""

import json
import sys
import time
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from configs import load_cfg
from loss.make_loss import make_loss
from model.make_model_clipreid import make_model
from solver.make_optimizer_prompt import make_optimizer_2stage
from tests.helpers import TOY, toy_clip_state, toy_config
from utils.device import make_runtime
from utils.errors import InputError

CPU = torch.device('cpu')
CHECKS = {}  # name -> function of the processes, run by all of them; in order


def check(function):
    CHECKS[function.__name__] = function
    return function


# --------------------------------------------------------------------------- what all processes do


@check
def gathers_rows_in_rank_order(processes):
    rank, size = processes.rank, processes.world_size
    for dtype in (torch.int64, torch.float32, torch.float64, torch.float16, torch.bfloat16):
        rows = torch.full((2, 3), rank).to(dtype)
        expected = torch.arange(size).repeat_interleave(2)[:, None].expand(-1, 3).to(dtype)
        assert torch.equal(processes.gather(rows), expected)
    turned = torch.arange(6.0).view(2, 3).T + 100 * rank  # not contiguous
    assert torch.equal(processes.gather(turned)[3 * rank : 3 * rank + 3], turned)
    assert processes.gather(torch.tensor([rank])).tolist() == list(range(size))


@check
def gradient_of_gathered_rows_is_that_of_the_whole_batch(processes):
    """With one weight before the gathering and one after it."""
    torch.manual_seed(0)
    size, own = processes.world_size, slice(4 * processes.rank, 4 * processes.rank + 4)
    photos = torch.randn(4 * size, 5, dtype=torch.float64)
    models = [nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2)).double()]
    models.append(deepcopy(models[0]))

    def loss(features, behind):  # no sum over the rows
        distance = torch.cdist(behind(features), features[:, :2])
        return distance.logsumexp(1).max() + distance.std()

    loss(models[0][0](photos), models[0][1]).backward()
    loss(processes.gather(models[1][0](photos[own])), models[1][1]).backward()
    processes.average_gradients(models[1].parameters())
    for plain, ours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-12, atol=1e-12)


@check
def shards_come_together_in_order(processes):
    for count, batch in ((17, 2), (5, 2), (1, 4), (2, 4), (0, 4), (30, 1)):
        whole = torch.arange(count * 6.0).view(count, 2, 3)
        own = whole[list(processes.shard(count, batch))]
        assert torch.equal(processes.gather_rows(own), whole)
    own = (
        whole[list(processes.shard(1, 4))] if processes.main else torch.empty(0)
    )  # without rows their shape is unknown
    assert torch.equal(processes.gather_rows(own), whole[:1])


@check
def means_flags_and_values(processes):
    rank, size = processes.rank, processes.world_size
    given = torch.full((2,), float(rank))
    parameter, frozen = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    parameter.grad = given
    processes.average_gradients([parameter, frozen])
    assert parameter.grad.tolist() == [(size - 1) / 2] * 2 and frozen.grad is None
    assert processes.any(rank == size - 1) is True
    assert processes.any(False) is False
    value = {'state': 'ü', 'epoch': 3, 'best': 0.1 + 0.2, 'none': None, 'list': [1, 2.5]}
    assert processes.broadcast(value if processes.main else None) == value
    assert processes.broadcast(None) is None
    model = nn.BatchNorm2d(2)
    model.running_mean += rank
    model.num_batches_tracked += rank
    processes.broadcast_buffers(model)
    assert model.running_mean.tolist() == [0, 0] and model.num_batches_tracked == 0


@check
def all_wait_at_a_barrier(processes):
    started = time.monotonic()
    if processes.main:
        time.sleep(0.3)
    processes.barrier()
    assert time.monotonic() - started > 0.25


def step(model, call, criterion, optimizers, batch, texts, gather=lambda tensor: tensor):
    """A training step as in stage 2."""
    images, target, cameras = batch
    score, feature, projected = call(
        images, cam_label=cameras, view_label=torch.zeros_like(cameras)
    )
    target = gather(target)
    loss = sum(criterion(score, feature, target, projected @ texts.T).values())
    for each in optimizers:
        each.zero_grad(set_to_none=True)
    loss.backward()
    for each in optimizers:
        each.step()
    return float(loss.detach())


def toy_model(name, optimizer, dtype, folder):
    """(model, criterion, optimizers, three batches, texts), equal on all processes."""
    weights = {name: str(folder / f'{name}.pth')}
    (folder / 'toy.yml').write_text(
        json.dumps(toy_config(folder, name, weights[name]))
    )  # JSON is YAML
    torch.save(toy_clip_state(name), weights[name])
    cfg = load_cfg(
        str(folder / 'toy.yml'),
        [
            'MODEL.SIE_CAMERA',
            name.startswith('ViT'),
            'MODEL.METRIC_LOSS_TYPE',
            'triplet_center',
            'SOLVER.MARGIN',
            0.3,
            'SOLVER.STAGE2.OPTIMIZER_NAME',
            optimizer,
            'SOLVER.STAGE2.BASE_LR',
            1e-3 if optimizer == 'Adam' else 1e-2,
        ],
    )
    torch.manual_seed(3)
    model = make_model(cfg, num_class=6, camera_num=2, view_num=1).to(dtype)
    model.prompt_learner.requires_grad_(False)
    criterion = make_loss(cfg, 6, model.feature_dim).to(dtype)
    optimizers = [
        make_optimizer_2stage(cfg, model),
        torch.optim.SGD(criterion.parameters(), lr=0.1),
    ]
    batches = [
        (
            torch.randn(12, 3, 32, 32).to(dtype),
            torch.arange(6).repeat_interleave(2),
            torch.arange(12) % 2,
        )
        for _ in range(3)
    ]
    return (
        model.train(),
        criterion,
        optimizers,
        batches,
        F.normalize(torch.randn(6, TOY[name].embed_dim)).to(dtype),
    )


def trained_both_ways(processes, name, optimizer, dtype):
    """The model's and the centres' state after three steps by one process and by all, and the
    model's state before.
    """
    folder = Path(sys.argv[2]) / str(processes.rank)
    folder.mkdir(exist_ok=True)
    model, criterion, optimizers, batches, texts = toy_model(name, optimizer, dtype, folder)
    before = deepcopy(model.state_dict())
    alone = [step(model, model, criterion, optimizers, batch, texts) for batch in batches]
    plain = model.state_dict() | {'centers': criterion.center.centers.detach()}

    model, criterion, optimizers, batches, texts = toy_model(name, optimizer, dtype, folder)
    names = list(model.state_dict())
    model.gather, wrapped = processes.gather, processes.wrap(model, CPU)
    share = 12 // processes.world_size
    own = slice(share * processes.rank, share * processes.rank + share)
    together = []
    for batch in batches:
        shard = [part[own] for part in batch]
        together.append(step(model, wrapped, criterion, optimizers, shard, texts, processes.gather))
    processes.broadcast_buffers(model)
    assert list(model.state_dict()) == names == list(before)
    return (
        before,
        plain,
        model.state_dict() | {'centers': criterion.center.centers.detach()},
        alone,
        together,
    )


def differences(one, other):
    """name -> largest difference, of the state's floats."""
    return {
        name: float((tensor - other[name]).abs().max())
        for name, tensor in one.items()
        if tensor.is_floating_point()
    }


def assert_trained_as_one(processes, name, optimizer, dtype, tolerance):
    before, plain, ours, alone, together = trained_both_ways(processes, name, optimizer, dtype)
    moved = differences(before, plain)
    difference = differences(plain, ours)
    assert max(difference.values()) < tolerance, sorted(
        difference.items(), key=lambda item: -item[1]
    )[:5]
    still = [
        n
        for n in moved
        if moved[n] < tolerance and not n.startswith(('text_encoder.', 'prompt_learner.'))
    ]
    assert still == ['bottleneck.bias', 'bottleneck_proj.bias']  # else it would be no wonder
    assert max(abs(a - b) / a for a, b in zip(alone, together)) < max(tolerance, 1e-6)
    assert_same_everywhere(processes, ours)


def assert_same_everywhere(processes, state):
    sums = torch.stack([tensor.double().sum() for tensor in state.values()])
    for others in processes.gather(sums[None]):
        assert torch.equal(others, sums)


@check
def vit_trains_as_one_process_float64_adam(processes):
    """The keys' bias has only a rounding error as gradient (1e-17), of which Adam makes 1e-9.

    Everything else agrees to 1e-14.
    """
    assert_trained_as_one(processes, 'ViT-B-16', 'Adam', torch.float64, 1e-8)


@check
def vit_trains_as_one_process_float32_sgd(processes):
    assert_trained_as_one(processes, 'ViT-B-16', 'SGD', torch.float32, 1e-5)


@check
def rn50_normalises_by_process(processes):
    """That changes the training, but all processes have equal weights and statistics."""
    _, plain, ours, *_ = trained_both_ways(processes, 'RN50', 'SGD', torch.float64)
    assert max(differences(plain, ours).values()) > 1e-3
    assert_same_everywhere(processes, ours)


@check
def gpus_are_compared(processes):
    """Each process sees one GPU, either its own or the same."""

    def device(serial):
        gpu = {
            'is_available': lambda: True,
            'device_count': lambda: 1,
            'set_device': lambda index: None,
            'get_device_properties': lambda index: SimpleNamespace(uuid=serial),
            'is_bf16_supported': lambda **_: True,
        }
        with mock.patch.multiple(torch.cuda, **gpu):
            return make_runtime('cuda', processes=processes).device

    assert str(device(f'GPU {processes.rank}')) == 'cuda:0'
    with pytest.raises(InputError, match='each process needs its own GPU'):
        device('the same GPU')
