"""Export: the graph against torch, its metadata, the code of the docs, and what is rejected."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from configs import load_cfg
from datasets.transforms import make_test_transform
from model.make_model_clipreid import make_model, make_test_model
from model.timm_names import resolve_inputs
from tests.helpers import ROOT
from tests.timm_worlds import BYOB, pairs, save_network
from tests.tools.feature_worlds import options, untrained_world
from tools import evaluate_features, export, extract_features, fit_whitening
from utils.checkpoint import save_state
from utils.errors import InputError
from utils.files import sha256_file
from utils.whitening import load_whitening
from wildlife.features import export as exporting
from wildlife.features.files import read_features

DOCS = (ROOT / 'docs/outputs.md').read_text(encoding='utf-8')
NAMES = ('RN50', 'ViT-B-16', BYOB)
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')  # torch's exporter


@pytest.fixture(scope='module')
def world(tmp_path_factory, toy_weights):
    world = untrained_world(tmp_path_factory.mktemp('export'), toy_weights)
    save_network(world.folder / f'{BYOB}.pth', BYOB)
    cfg = load_cfg(world.yml('ViT-B-16'))
    torch.manual_seed(1)
    save_state(make_model(cfg, 6).state_dict(), world.folder / 'ViT-B-16.pth')
    fit_whitening.main(options(world, '--out', world.folder / 'w.safetensors'))
    return world


def command(world, name, *words):
    """A command line for an encoder: RN50 is whitened, the network of timm is untrained."""
    if name == 'RN50':
        return options(world, 'TEST.WHITENING', world.folder / 'w.safetensors', *words)
    if name == 'ViT-B-16':
        weight = ('TEST.WEIGHT', world.folder / 'ViT-B-16.pth', 'TEST.NECK_FEAT', 'after')
        return world.args(*weight, *words, name=name)
    mean = ('INPUT.PIXEL_MEAN', '[0.5, 0.4, 0.3]')  # only the file knows it
    own = pairs(BYOB, world.folder / f'{BYOB}.pth', 'TEST.WEIGHT', 'start', *mean)
    return options(world, *own, *words)


@pytest.fixture(scope='module')
def files(world):
    """{name: ONNX file}"""
    return {
        name: export.main(command(world, name, '--out', world.folder / f'{name}.onnx'))
        for name in NAMES
    }


def config(world, name):
    return resolve_inputs(load_cfg(*command(world, name)[1:2], command(world, name)[2:]))


def expected_features(world, name, photos):
    """The features of a test by torch, in plain words."""
    cfg = config(world, name)
    with torch.no_grad():
        features = make_test_model(cfg).eval()(photos)
        if name == 'RN50':
            features = load_whitening(cfg.TEST.WHITENING, {})(features)
    return F.normalize(features).numpy()


@pytest.mark.parametrize('name', NAMES)
def test_batches_of_any_size_equal_torch(world, files, name):
    session = onnxruntime.InferenceSession(files[name])
    for count in (1, 5, 64):
        torch.manual_seed(count)
        photos = torch.randn(count, 3, 32, 32)
        [features] = session.run(None, {'photos': photos.numpy()})
        np.testing.assert_allclose(features, expected_features(world, name, photos), atol=1e-4)
        assert len(features) == count


def test_metadata(world, files):
    about = onnxruntime.InferenceSession(files['RN50']).get_modelmeta().custom_metadata_map
    texts = {
        'format': 'clip-reid-animals features 1',
        'network': 'RN50',
        'weights': 'toy.pth',
        'model_sha256': sha256_file(world.weight),
        'neck_feat': 'before',
        'channel_order': 'RGB',
        'interpolation': 'bilinear',
        'resize': 'stretch',
        'layout': 'NCHW float32',
        'similarity': 'cosine',
    }
    assert {name: about[name] for name in texts} == texts
    assert json.loads(about['size']) == [32, 32] and json.loads(about['value_range']) == [0, 1]
    assert json.loads(about['pixel_mean']) == list(load_cfg().INPUT.PIXEL_MEAN)
    whitening = load_whitening(str(world.folder / 'w.safetensors'), {})
    assert int(about['feature_length']) == whitening.matrix.shape[1]
    sha256 = sha256_file(world.folder / 'w.safetensors')
    assert json.loads(about['whitening']) == {'file': 'w.safetensors', 'sha256': sha256}
    assert json.loads(about['normalised']) is True
    timms = onnxruntime.InferenceSession(files[BYOB]).get_modelmeta().custom_metadata_map
    assert json.loads(timms['pixel_mean']) == [0.5, 0.4, 0.3] and timms['whitening'] == 'null'
    assert about.keys() <= set(re.findall(r'`(\w+)`', section('Export')))


def test_no_path_of_this_machine_and_no_unused_weights(world, files):
    content = files['RN50'].read_bytes()
    assert str(world.folder).encode() not in content and str(ROOT).encode() not in content
    names = {tensor.name for tensor in onnx.load(files['RN50']).graph.initializer}
    assert not [name for name in names if 'classifier' in name or 'text_encoder' in name]


def section(title):
    return re.search(rf'^## {title}\n(.*?)(?=^## )', DOCS, re.M | re.S)[1]


@pytest.mark.parametrize('name', ['RN50', BYOB])
def test_the_code_of_the_docs(world, files, name, tmp_path):
    """In a process without torch; on a photo in another format than its name says, in mode P."""
    [code] = re.findall(r'```python\n(.*?)```', section('Export'), re.S)
    assert len(code.strip().splitlines()) <= 12
    (tmp_path / 'nyala.onnx').write_bytes(files[name].read_bytes())
    photo = world.folder / 'test/9/2.png'
    (tmp_path / 'photo.jpg').write_bytes(photo.read_bytes())
    code += "\nimport sys\nassert 'torch' not in sys.modules\nnp.save('feature.npy', feature)\n"
    subprocess.run([sys.executable, '-I', '-c', code], cwd=tmp_path, check=True, timeout=60)
    inputs = config(world, name).INPUT
    transform = make_test_transform((32, 32), inputs.PIXEL_MEAN, inputs.PIXEL_STD)
    photos = transform(transform.reading(str(photo)), 0)[None]
    expected = expected_features(world, name, photos)[0]
    np.testing.assert_allclose(np.load(tmp_path / 'feature.npy'), expected, atol=1e-5)


def test_extracted_features_equal_torchs(world, files, tmp_path):
    """Preprocessing comes from the file: the config of another network gives the same."""
    own = extract_features.main(command(world, BYOB, '--out', tmp_path / 'own.npz'))
    words = ('--onnx', files[BYOB], '--out', tmp_path / 'onnx.npz', 'INPUT.SIZE_TEST', '[64, 48]')
    found = read_features(extract_features.main(options(world, *words)))
    expected = read_features(own)
    assert found.paths == expected.paths and found.columns == expected.columns
    rows = expected.features / np.linalg.norm(expected.features, axis=1, keepdims=True)
    np.testing.assert_allclose(found.features, rows, atol=1e-5)
    assert found.about.pop('onnx') == {'file': str(files[BYOB]), 'sha256': sha256_file(files[BYOB])}
    assert found.about.pop('model') == f'{BYOB}.pth' and expected.about.pop('model')
    assert found.about == expected.about


def test_whitened_features_and_a_folder(world, files, tmp_path):
    words = ('--onnx', files['RN50'], '--photos', world.folder / 'test', '--out')
    path = extract_features.main(options(world, *words, tmp_path / 'x.npz'))
    table = read_features(path)
    assert len(table.paths) == 48 and table.about['upright']
    np.testing.assert_allclose(np.linalg.norm(table.features, axis=1), 1, atol=1e-5)
    whitening = sha256_file(world.folder / 'w.safetensors')
    assert table.about['whitening'] == {'file': 'w.safetensors', 'sha256': whitening}
    again = options(world, 'TEST.WHITENING', world.folder / 'w.safetensors')
    with pytest.raises(InputError, match='whitened already'):
        evaluate_features.main([str(path), *again])
    with pytest.raises(InputError, match='TEST.WHITENING does not apply to an ONNX file'):
        extract_features.main([*again, '--onnx', str(files['RN50']), '--out', 'x.npz'])


def test_a_failed_parity_writes_nothing(world, files, tmp_path, monkeypatch):
    state = make_test_model(config(world, 'ViT-B-16')).state_dict()
    state['image_encoder.proj'] = state['image_encoder.proj'] * 0.9
    save_state(state, tmp_path / 'other.pth')
    content = files['ViT-B-16'].read_bytes()
    monkeypatch.setattr(exporting, 'graph_content', lambda *_: content)
    out = tmp_path / 'x.onnx'
    out.write_bytes(b'earlier')
    words = ('TEST.WEIGHT', tmp_path / 'other.pth', 'TEST.NECK_FEAT', 'after', '--out', out)
    with pytest.raises(InputError, match=r'other features than torch.*differ by \d.*not written'):
        export.main(world.args(*words, name='ViT-B-16'))
    assert out.read_bytes() == b'earlier'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['other.pth', 'x.onnx']


def test_output(world, files, tmp_path, monkeypatch, capsys):
    content = files['ViT-B-16'].read_bytes()
    monkeypatch.setattr(exporting, 'graph_content', lambda *_: content)
    out = tmp_path / 'x.onnx'
    for _ in range(2):
        export.main(command(world, 'ViT-B-16', '--out', out))
    assert out.read_bytes() == content == (tmp_path / 'x.1.onnx').read_bytes()
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines[0] == f'{out}: {len(content) / 1e6:.1f} MB, features of 128 numbers, normalised'
    pattern = r'parity .* on 12 photos of the query list: largest difference \S+e-0\d \(limit 1e-04'
    assert re.match(pattern, lines[1])


class OneSize(torch.nn.Module):
    """A network whose graph holds for one size of batch only."""

    def forward(self, photos, **_):
        return photos.mean((2, 3)) + torch.zeros(len(photos), 3)


def test_a_network_with_a_constant_batch_is_rejected():
    graph = exporting.FeatureGraph(exporting.Encoder(OneSize()), False).eval()
    photos = torch.rand(2, 3, 4, 4)
    assert torch.equal(graph(photos), photos.mean((2, 3)))  # not normalised
    with pytest.raises(InputError, match='timm:x cannot be exported for any number of photos'):
        exporting.graph_content(graph, (8, 8), {'network': 'timm:x'})


def test_bad_targets_and_models(world, tmp_path, monkeypatch):
    def rejected(text, *words, name='ViT-B-16'):
        with pytest.raises(InputError, match=text):
            export.main(command(world, name, *words))

    out = ('--out', tmp_path / 'x.onnx')
    rejected('is a folder; name a file', '--out', tmp_path)
    rejected('does not end in .onnx', '--out', tmp_path / 'x.pt')
    rejected('there is no folder', '--out', tmp_path / 'deep/x.onnx')
    rejected('TEST.PRECISION bf16: exported graphs', *out, 'TEST.PRECISION', 'bf16')
    rejected('no.txt: no such list; check', *out, 'DATASETS.QUERY_LIST', tmp_path / 'no.txt')
    cfg = load_cfg(world.yml('ViT-B-16'), ['MODEL.SIE_VIEW', 'True'])
    save_state(make_model(cfg, 6, view_num=3).state_dict(), world.folder / 'sides.pth')
    sides = ('MODEL.SIE_VIEW', True, 'TEST.WEIGHT', world.folder / 'sides.pth')
    rejected('trained with MODEL.SIE_CAMERA or SIE_VIEW', *out, *sides)
    monkeypatch.setattr(exporting, 'LARGEST', 1000)
    rejected(r'has 0.0 GB of weights, but an ONNX file holds at most', *out)
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    rejected('needs the package onnxscript: pip install onnx onnxscript onnxruntime', *out)
    assert not list(tmp_path.iterdir())


def foreign(path, **metadata):
    """A graph of another program: photos -> photos."""
    kinds = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['n', 3, 8, 8])
        for name in ('photos', 'feature')
    ]
    node = onnx.helper.make_node('Identity', ['photos'], ['feature'])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], 'g', kinds[:1], kinds[1:]),
        opset_imports=[onnx.helper.make_opsetid('', 17)],
        ir_version=8,
    )
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_files_of_other_programs_are_rejected(world, files, tmp_path, monkeypatch):
    def rejected(path, text):
        with pytest.raises(InputError, match=text) as caught:
            extract_features.main(options(world, '--onnx', path, '--out', tmp_path / 'x.npz'))
        assert '\n' not in str(caught.value)

    ours = onnxruntime.InferenceSession(files[BYOB]).get_modelmeta().custom_metadata_map
    (tmp_path / 'text.onnx').write_text('rubbish')
    rejected(tmp_path / 'text.onnx', 'text.onnx is not a model of tools.export, or is damaged')
    rejected(foreign(tmp_path / 'a.onnx'), 'lacks format = clip-reid-animals features 1')
    cubic = ours | {'interpolation': 'bicubic'}
    rejected(foreign(tmp_path / 'b.onnx', **cubic), r'another preprocessing \(interpolation\)')
    rejected(foreign(tmp_path / 'c.onnx', **ours), 'its graph computes feature of photos')
    named = {name: ours[name] for name in ours if name not in ('weights', 'neck_feat')}
    rejected(foreign(tmp_path / 'f.onnx', **named), 'its metadata lacks weights, neck_feat')
    grey = ours | {'pixel_std': '[0.5]'}
    rejected(foreign(tmp_path / 'e.onnx', **grey), 'must have three numbers')
    rejected(foreign(tmp_path / 'd.onnx', **ours | {'size': '['}), 'or is damaged')
    rejected(tmp_path, 'no such ONNX file')
    rejected(tmp_path / 'none.onnx', 'no such ONNX file; write one with python -m tools.export')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    rejected(files[BYOB], 'pip install onnxruntime')
    assert not (tmp_path / 'x.npz').exists() and not list(tmp_path.glob('*.parts'))
