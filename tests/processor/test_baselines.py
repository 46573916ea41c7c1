"""The starting weights and whitened features beside the trained model, in the log of a training."""

import json
from types import SimpleNamespace

import pytest
import torch

import train_clipreid
from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader
from model.make_model_clipreid import make_model, make_test_model
from model.timm_names import resolve_inputs
from processor import baselines
from processor.encoder import fit_on_records
from processor.inference import extract_features, validate, validate_features
from tests.helpers import timeless_metrics, write_photo
from tests.processor.inference_models import RUNTIME
from tests.timm_worlds import BYOB, VIT, pairs, save_network
from tests.utils.run.interrupted import assert_same_run
from utils.checkpoint import load_state
from utils.errors import InputError, Stopped

# one epoch of stage 2 alone
SHORT = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1)


@pytest.fixture
def hard(world):
    """A world whose photos are hard to tell apart, so that metrics are far from 1."""
    for individual in range(6):
        write_photo(world.folder / f'photos/train/{individual}/0.png', (individual + 1) % 6, 70)
        write_photo(world.folder / f'photos/val/{individual}/4.png', (individual + 3) % 6, 80)
    return world


def events(folder, name='baselines'):
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [line for line in lines if line['event'] == name]


def by_hand(cfg, model):
    """mAP and rank-1 of a model on the validation, as it is and whitened."""
    loaders = make_dataloader(cfg)
    test, train = loaders.validation, loaders.train_loader_stage1
    whitening = fit_on_records(extract_features(model, train, RUNTIME), train.dataset.records)
    rows = whitening(extract_features(model, test.loader, RUNTIME))
    plain, whitened = validate(model, test, RUNTIME), validate_features(rows, test, RUNTIME)
    return [{name: each.metrics[name] for name in ('mAP', 'rank1')} for each in (plain, whitened)]


@pytest.mark.parametrize('name', ['RN50', BYOB, VIT])
def test_the_table_after_a_training(hard, name):
    opts = SHORT
    if name != 'RN50':
        save_network(hard.folder / 'weights.pth', name)
        opts = (*SHORT, *pairs(name, hard.folder / 'weights.pth'))
    train_clipreid.main(hard.args(*opts))
    (found,) = events(hard.output)
    words = map(str, (*opts, 'TEST.WEIGHT', hard.output / f'{name}_1.pth'))
    cfg = resolve_inputs(load_cfg(hard.yml(), list(words)))
    start = by_hand(cfg, make_model(cfg, 6))
    trained = by_hand(cfg, make_test_model(cfg))
    expected = dict(zip(baselines.NAMES, [*start, *trained], strict=True))
    assert {name: found[name] for name in baselines.NAMES} == {
        name: pytest.approx(metrics, abs=1e-6) for name, metrics in expected.items()
    }
    assert found['epoch'] == 1 and start[0] != trained[0] and start[0] != start[1]
    last = events(hard.output, 'validation')[-1]
    assert found['trained'] == {name: last[name] for name in ('mAP', 'rank1')}
    log = (hard.output / 'train_log.txt').read_text()
    for name, metrics in expected.items():
        row = f'{baselines.NAMES[name]:36}{metrics["mAP"]:7.1%} {metrics["rank1"]:7.1%}\n'
        assert log.count(row) == 1


def test_the_training_itself_is_the_same_without(hard):
    out = hard.folder / 'without'
    train_clipreid.main(hard.args(*SHORT))
    train_clipreid.main(hard.args(*SHORT, 'TEST.BASELINES', False, 'OUTPUT_DIR', out))
    assert not events(out) and 'Is the training worth it' not in (out / 'train_log.txt').read_text()
    lines = timeless_metrics(hard.output)
    assert [line for line in lines if line['event'] != 'baselines'] == timeless_metrics(out)
    for name in ('RN50_1.pth', 'RN50_best.pth'):
        one, other = load_state(hard.output / name), load_state(out / name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    states = [torch.load(p / 'resume.pth', weights_only=True)['random'] for p in (hard.output, out)]
    assert torch.equal(states[0]['torch'], states[1]['torch'])


@pytest.mark.parametrize('number', [1, 3])
def test_interrupted_it_is_done_again(hard, monkeypatch, number):
    whole, real, calls = hard.folder / 'whole', baselines.validate_features, []
    train_clipreid.main(hard.args(*SHORT, 'OUTPUT_DIR', whole))

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == number:
            raise Stopped(15)
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(baselines, 'validate_features', interrupted)
        train_clipreid.main(hard.args(*SHORT))
    train_clipreid.main(hard.args(*SHORT, '--resume'))
    assert_same_run(whole, hard.output)
    assert len(events(hard.output)) == 1


def test_without_validation_there_is_none(hard):
    train_clipreid.main(hard.args(*SHORT, 'DATASETS.VAL_LIST', ''))
    assert not events(hard.output)


@pytest.fixture
def prepared(hard):
    """Baselines of a toy model, and that model with weights that are all different."""
    cfg = load_cfg(hard.yml(), list(map(str, SHORT)))
    loaders = make_dataloader(cfg)
    model = make_model(cfg, 6)
    found = baselines.prepare_baselines(cfg, model, loaders)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    return found, model


def report(found, model, caplog):
    journal = SimpleNamespace(epoch=3, write=lambda event, **facts: written.update(facts))
    written = {}
    with caplog.at_level('INFO', 'transreid.train'):
        baselines.report_baselines(found, model, RUNTIME, journal)
    return written


def test_the_models_own_weights_stay(prepared, caplog):
    found, model = prepared
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not any(name.startswith(('text_encoder', 'prompt', 'classif')) for name in found.weights)
    assert not torch.equal(
        found.weights['image_encoder.conv1.weight'], model.image_encoder.conv1.weight
    )
    report(found, model, caplog)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize('better', [0, 1, 2, 3])
def test_a_training_that_gains_nothing_is_said(prepared, caplog, monkeypatch, better):
    scores = iter({better: 0.5}.get(number, 0.4) for number in range(4))
    monkeypatch.setattr(
        baselines,
        'validate_features',
        lambda *_: SimpleNamespace(metrics={'mAP': next(scores), 'rank1': 0.1}),
    )
    written = report(*prepared, caplog)
    assert [written[name]['mAP'] == 0.5 for name in baselines.NAMES].index(True) == better
    name = [*baselines.NAMES.values()][better]
    line = f'the training has gained nothing on the validation: the {name} are better than'
    assert (line in caplog.text) == (better < 2)


def test_a_tie_is_no_gain_but_not_worse(prepared, caplog, monkeypatch):
    same = SimpleNamespace(metrics={'mAP': 1.0, 'rank1': 1.0})
    monkeypatch.setattr(baselines, 'validate_features', lambda *_: same)
    report(*prepared, caplog)
    assert 'the starting weights are as good as the trained model (mAP 100.0%)' in caplog.text


def test_train_photos_outside_of_the_validation(prepared, caplog):
    """As in person sets, whose validation has its own gallery."""
    found, model = prepared
    written = report(found, model, caplog)
    test, loader = found.test, found.test.loader
    kept = [record for record in loader.dataset.records if '/val/' in record.path]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        real = extract_features
        patch.setattr(
            baselines, 'extract_features', lambda m, x, r: seen.append(x) or real(m, x, r)
        )
        fewer = found._replace(train=[*found.train[1:], found.train[0]])
        assert report(fewer, model, caplog)['trained'] == written['trained']
        assert len(seen) == 2  # rows of the validation's features
        query = make_smaller(test, kept)
        other = report(found._replace(test=query), model, caplog)
    assert len(seen) == 6 and [len(each.dataset) for each in seen[2:]] == [6, 24, 6, 24]
    assert other['trained_whitened'].keys() == {'mAP', 'rank1'}


def make_smaller(test, records):
    """The validation with the queries as its gallery too."""
    loader = test.loader
    dataset = type(loader.dataset)(records, loader.dataset.transform)
    rows = torch.arange(len(records))
    trial = type(test.trials[0])(test.query, test.query, rows, rows)
    smaller = type(loader)(dataset, batch_size=loader.batch_size)
    protocol = test.protocol
    return test._replace(loader=smaller, gallery=test.query, trials=[trial], protocol=protocol)


def test_single_photos_have_no_whitening(prepared, caplog):
    found, model = prepared
    first = {record.pid: record for record in found.train}
    written = report(found._replace(train=list(first.values())), model, caplog)
    assert set(written) == {'epoch', 'start', 'trained'}
    assert 'No whitening of the starting weights: a whitening needs two photos' in caplog.text


def test_weights_that_give_no_numbers(prepared):
    found, model = prepared
    found.weights['image_encoder.conv1.weight'].fill_(torch.nan)
    with pytest.raises(InputError, match='contain NaN or infinity'):
        baselines.report_baselines(found, model, RUNTIME, SimpleNamespace(epoch=1))
