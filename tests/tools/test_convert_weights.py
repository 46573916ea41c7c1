"""Weights with other names: renamed by order, loaded before they are kept."""

import pytest
import timm
import torch
from safetensors.torch import load_file

from model.timm_model import make_network
from tests.bad_input.inputs import refused
from tests.timm_worlds import BYOB, VIT, save_network
from tools.convert_weights import main


@pytest.fixture
def foreign(tmp_path):
    """A network's weights in order, under other names; its own state dict."""
    own = save_network(tmp_path / 'own.pth').state_dict()
    ends = [name.rpartition('.')[2] for name in own]
    other = {
        f'layer{i}.{end}': t for i, (end, t) in enumerate(zip(ends, own.values(), strict=True))
    }
    torch.save(other, tmp_path / 'foreign.pth')
    return tmp_path, other, own


def run(folder, *others, source='foreign.pth'):
    return main([str(folder / source), str(folder / 'out.safetensors'), '--timm', BYOB, *others])


def test_by_order(foreign, capsys):
    folder, other, own = foreign
    assert run(folder) == {'tensors': len(own), 'renamed': len(own), 'feature': 256}
    found = load_file(folder / 'out.safetensors')
    assert found.keys() == own.keys() and all(torch.equal(found[n], own[n]) for n in own)
    timm.create_model(BYOB).load_state_dict(found)  # timm takes the file itself
    assert 'MODEL.NAME timm:test_byobnet MODEL.PRETRAIN_PATH' in capsys.readouterr().out
    assert [path.name for path in folder.glob('*.safetensors')] == ['out.safetensors']
    assert not list(folder.glob('.*'))


def test_without_or_with_another_classifier(foreign):
    folder, other, own = foreign
    names = list(other)
    short = {name: other[name] for name in names[:-2]}
    classes = short | {name: other[name][:7] for name in names[-2:]}
    features = make_network(BYOB, (32, 32)).state_dict()
    for state in (short, classes):
        torch.save(state, folder / 'foreign.pth')
        run(folder)
        found = load_file(folder / 'out.safetensors')
        assert all(torch.equal(found[name], own[name]) for name in features)


def test_names_of_timm_stay(foreign):
    folder, _, own = foreign
    assert run(folder, source='own.pth')['renamed'] == 0
    wrapped = {f'backbone.{name}': t for name, t in own.items()} | {'final.weight': torch.ones(3)}
    torch.save(wrapped, folder / 'wrapped.pth')
    assert run(folder, '--prefix', 'backbone.', source='wrapped.pth')['renamed'] == 0
    found = load_file(folder / 'out.safetensors')
    assert all(torch.equal(found[name], own[name]) for name in own)


def test_what_does_not_correspond_is_named(foreign):
    folder, other, own = foreign
    pairs = list(zip(other, own, strict=True))
    old, new = pairs[6]
    torch.save(other | {old: torch.ones(2, 3)}, folder / 'foreign.pth')
    refused(run, folder, f'{old} (2, 3) stands where {new}', f'timm:{BYOB}')
    swapped = {
        name.replace('bias', 'running_var') if name == 'layer2.bias' else name: tensor
        for name, tensor in other.items()
    }
    torch.save(swapped, folder / 'foreign.pth')
    refused(run, folder, 'layer2.running_var', 'stands where', pairs[2][1])
    torch.save(dict(list(other.items())[:-5]), folder / 'foreign.pth')
    refused(run, folder, f'has {len(own) - 5} tensors', f'has {len(own)}')
    assert not list(folder.glob('*.safetensors')) and not list(folder.glob('.*'))


def test_bad_arguments(foreign):
    folder, *_ = foreign
    good = str(folder / 'foreign.pth'), str(folder / 'out.safetensors')

    def tried(source, target, name=BYOB, *others):
        return lambda _: main([source, target, '--timm', name, *others])

    refused(tried(str(folder / 'gone.pth'), good[1]), folder, 'no file', 'gone.pth')
    refused(tried(good[0], str(folder / 'out.pth')), folder, 'end in .safetensors')
    refused(tried(good[0], str(folder / 'no/out.safetensors')), folder, 'no folder')
    refused(tried(*good, 'test_byobnett'), folder, 'did you mean test_byobnet')
    refused(tried(*good, VIT), folder, 'stands where')
    refused(tried(*good, BYOB, '--prefix', 'trunk.'), folder, "begins with 'trunk.'", 'layer0')
    assert not list(folder.glob('*.safetensors'))
