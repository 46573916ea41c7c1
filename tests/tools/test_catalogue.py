"""python -m tools.catalogue: whole commands on a toy world."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from configs import ConfigError
from tests.helpers import ROOT, write_photo
from tests.tools.feature_worlds import options, untrained_world
from tools import catalogue as tool
from tools import extract_features
from utils.checkpoint import load_checkpoint, save_state
from utils.errors import InputError
from wildlife.catalogue.encode import catalogue_encoder
from wildlife.catalogue.store import open_catalogue
from wildlife.features.files import read_features


@pytest.fixture(scope='module')
def world(tmp_path_factory, toy_weights):
    return untrained_world(tmp_path_factory.mktemp('world'), toy_weights)


@pytest.fixture(scope='module')
def made(world, tmp_path_factory):
    """A catalogue of the lists of the toy world."""
    folder = tmp_path_factory.mktemp('made') / 'c'
    assert tool.main(['create', str(folder), *options(world), '--species', 'toy', '--by', 'anna'])
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / 'c')


def call(*words):
    return tool.main([str(word) for word in words])


def test_the_lists_of_a_config(made, world, tmp_path):
    """The features are those of extract_features, L2-normalised."""
    extract_features.main(options(world, '--out', tmp_path / 'x.npz'))
    table = read_features(tmp_path / 'x.npz')
    catalogue = open_catalogue(made)
    expected = torch.nn.functional.normalize(torch.from_numpy(table.features))
    features = catalogue.features()
    place = {path.rpartition('/photos/')[2]: row for row, path in enumerate(table.paths)}
    assert len(features.photos) == len(table.paths) == 78
    for photo, row in zip(features.photos, features.rows):
        (name,) = [name for name in place if photo.path.endswith(name)]
        np.testing.assert_allclose(features.matrix[row], expected[place[name]], atol=1e-5)
        assert photo.individual == table.columns['individual'][place[name]]
    assert catalogue.journal()[1].by == 'anna' and len(catalogue.individuals()) == 18
    assert call('verify', made)


def test_the_model_is_in_the_catalogue(folder, world, tmp_path, capsys):
    """Photos are added without a yml; a photo without a box is the whole photo."""
    new = tmp_path / 'new'
    write_photo(new / 'cam1' / 'a.png', 2, 90)
    write_photo(new / 'cam1' / 'b.png', 2, 91, size=(80, 60))
    boxes = [{'category': '1', 'conf': 0.9, 'bbox': [x, 0.1, 0.4, 0.8]} for x in (0.0, 0.5)]
    images = [
        {'file': 'cam1/a.png', 'detections': []},
        {'file': 'cam1/b.png', 'detections': boxes},
    ]
    (new / 'd.json').write_text(json.dumps({'images': images}))
    call('add', folder, new, '--place', 'river')
    call('add', folder, new / 'd.json')
    said = capsys.readouterr().out
    assert '- 1 photo with several animals\n1 photo: 2 animals added' in said
    assert '2 of the added animals are in photos that' in said
    assert '- skipped: 1 x no animal with confidence 0.2 or more: cam1/a.png' in said
    catalogue = open_catalogue(folder)
    whole, other, left, right = catalogue.photos()[-4:]
    assert (whole.place, whole.individual, whole.box) == ('river', '', None)
    assert (left.box, right.box) == ((0, 0.1, 0.4, 0.8), (0.5, 0.1, 0.4, 0.8))
    encoder = catalogue_encoder(catalogue)
    (again,) = encoder([whole, other, left, right], 0.05)
    np.testing.assert_allclose(
        catalogue.features().of([whole, other, left, right]), again, atol=1e-5
    )
    assert np.ptp(again @ again.T) > 1e-4
    assert call('verify', folder)


def test_the_life_of_a_catalogue(folder, capsys):
    first = open_catalogue(folder).photos()[0].individual
    call('rename', folder, first, 'Nala')
    call('set', folder, 'Nala', '--sex', 'female', '--notes', 'torn ear', '--alias', 'N1')
    capsys.readouterr()
    call('decide', folder, 'Zuri', '--photos', 1, '--new', '--note', 'other stripes')
    assert capsys.readouterr().out.startswith('1 photo: new Zuri; before: Nala')
    call('decide', folder, 'Zuri', '--photos', 1)
    assert capsys.readouterr().out == '1 photo: known Zuri\n'
    call('set', folder, '--photos', 1, 2, '--side', 'left', '--encounter', 'E1')
    call('decide', folder, '--photos', 3, '--unsure')
    call('split', folder, 'Nala', 'Asha', '--encounters', 'E1')
    call('merge', folder, 'Asha', 'Zuri')
    capsys.readouterr()
    call('list', folder)
    said = capsys.readouterr().out
    assert 'Zuri' in said and 'Asha' in said and '  N1, ' in said
    call('show', folder, 'Zuri')
    said = capsys.readouterr().out
    assert said.count('.png') == 2 and 'left' in said and 'E1' in said
    call('show', folder, '--photo', 1)
    said = capsys.readouterr().out
    assert 'other stripes' in said and 'SHA-256' in said and 'from the lists of toy' in said
    call('show', folder)
    said = capsys.readouterr().out
    assert 'species: toy' in said and 'not calibrated' in said and '78 photos' in said
    call('remove', folder, 'Nala')
    call('list', folder, '--unknown')
    assert capsys.readouterr().out.count('.png') == 3
    call('remove', folder, '--photos', 2)
    call('undo', folder)
    call('undo', folder)
    capsys.readouterr()
    call('list', folder, '--journal')
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith('create') and said[2].endswith('add 78 photos from the lists of toy')
    assert sum(line.endswith('(undone)') for line in said) == 2 and len(said) == 15
    call('list', folder, '--photos')
    assert capsys.readouterr().out.count('.png') == 78
    assert call('verify', folder, '--hashes')


def test_another_model(folder, world, tmp_path):
    state = load_checkpoint(str(world.weight)).state
    changed = {
        name: tensor + 0.01 * tensor.std()
        for name, tensor in state.items()
        if tensor.is_floating_point() and tensor.numel() > 1
    }
    save_state(state | changed, tmp_path / 'other.pth')
    words = options(world, 'TEST.WEIGHT', tmp_path / 'other.pth')
    before = open_catalogue(folder).decisions()
    write_photo(tmp_path / 'new' / 'a.png', 2, 90)
    with pytest.raises(InputError, match='those of another model: its model_sha256'):
        call('add', folder, tmp_path / 'new', *words)
    with pytest.raises(InputError, match='its model_sha256 is'):
        call('add', folder, tmp_path / 'new', 'TEST.WEIGHT', tmp_path / 'other.pth')
    with pytest.raises(InputError, match="its neck_feat is 'before', here it is 'after'"):
        call('add', folder, tmp_path / 'new', 'TEST.NECK_FEAT', 'after')
    call('encode', folder, 'TEST.NECK_FEAT', 'after')  # without a yml
    assert open_catalogue(folder).model().config['TEST.NECK_FEAT'] == 'after'
    call('undo', folder)
    call('encode', folder, *words)
    catalogue = open_catalogue(folder)
    assert catalogue.decisions() == before and len(catalogue.models()) == 3
    assert len(catalogue.features().photos) == 78
    old = catalogue.features(catalogue.models()[0])
    assert np.abs(catalogue.features().matrix - old.matrix).max() > 1e-4
    call('add', folder, tmp_path / 'new')
    assert call('verify', folder)
    (tmp_path / 'other.pth').unlink()
    write_photo(tmp_path / 'new' / 'b.png', 2, 91)
    with pytest.raises(InputError, match='no such file; name the weights'):
        call('add', folder, tmp_path / 'new')


def test_names_that_may_mean_the_same(folder, tmp_path, capsys):
    call('decide', folder, 'Zoé', '--photos', 1, '--new', '--note', 'two\nlines')
    assert 'differ only in case' not in capsys.readouterr().out
    call('decide', folder, 'zoe\u0301', '--photos', 2, '--new')
    said = capsys.readouterr().out
    assert "'zoe\u0301' and 'Zoé' differ only in case" in said and 'merge them' in said
    write_photo(tmp_path / 'ZOÉ' / 'a.png', 2, 90)
    call('add', folder, tmp_path / 'ZOÉ' / '..', '--identity-level', -1, '--name-pattern', '')
    assert capsys.readouterr().out.count("'ZOÉ' and ") == 2
    call('show', folder, '--photo', 1)
    assert 'two lines' in capsys.readouterr().out


def test_a_killed_addition_continues(folder, world, tmp_path, monkeypatch):
    from wildlife.catalogue import encode
    from wildlife.features import parts

    monkeypatch.setattr(parts, 'PHOTOS', 4)
    for number in range(10):
        write_photo(tmp_path / 'new' / f'{number}.png', 3, 50 + number)
    seen, batches = [], encode.encode_batches

    def struck(*arguments):
        for batch in batches(*arguments):
            seen.append(len(batch))
            if sum(seen) == 8:
                raise KeyboardInterrupt
            yield batch

    words = ('add', folder, tmp_path / 'new', 'TEST.IMS_PER_BATCH', 4)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(encode, 'encode_batches', struck)
        call(*words)
    assert len(open_catalogue(folder).photos()) == 78 and call('verify', folder)
    assert len(list((folder / 'features').glob('*.part'))) == 1
    seen.clear()
    monkeypatch.setattr(
        encode, 'encode_batches', lambda *a: (seen.append(len(b)) or b for b in batches(*a))
    )
    call(*words)
    assert seen == [4, 2] and len(open_catalogue(folder).features().photos) == 88
    assert not list((folder / 'features').glob('*.part'))


BAD = {
    'create {made}': 'is a catalogue already; add photos to it',
    'create {tmp}/x TEST.WEIGHT nothing.pth': 'nothing.pth: no such file',
    'create {tmp}/x --config_file {yml} TEST.WEIGHT start MODEL.PRETRAIN_CHOICE random': (
        'random weights cannot compare animals'
    ),
    'create {tmp}/x --config_file {yml} MODEL.SIE_VIEW True TEST.WEIGHT {weight}': (
        'the model needs the camera or side of a photo'
    ),
    'add {made}': 'nothing to add: name PHOTOS',
    'add {made} {tmp}/gone': 'this file or folder does not exist',
    'add {made} {tmp} --confidence 2': '--confidence 2 must be between 0 and 1',
    'add {tmp} {tmp}': 'there is no catalogue',
    'rename {made} nobody x': 'no individual is called',
    'undo {made} 77': 'entry 77 of the journal does not exist',
    'show {made} --photo 777': 'the catalogue has no photo 777',
    'set {made} --photos 1': 'nothing to set: give --side',
    'split {made} {name} x --encounters E7': "has no encounter 'E7'",
}


@pytest.mark.parametrize('words', BAD)
def test_bad_input_changes_nothing(words, made, world, tmp_path):
    file = made / 'catalogue.sqlite'
    name, before = open_catalogue(made).individuals()[0].name, file.read_bytes()
    places = {'made': made, 'tmp': tmp_path, 'yml': world.yml(), 'weight': world.weight}
    with pytest.raises((InputError, ConfigError)) as caught:
        call(*[word.format(**places, name=name) for word in words.split()])
    assert BAD[words] in str(caught.value) and '\n' not in str(caught.value)
    assert file.read_bytes() == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'words', ['', 'sing x', 'set x', 'remove x n --photos 1', 'decide x --photos 1', 'split x a b']
)
def test_options_that_do_not_fit(words, capsys):
    with pytest.raises(SystemExit) as caught:
        tool.main(words.split())
    assert caught.value.code == 2 and 'error: ' in capsys.readouterr().err


def test_exit_codes(folder, capsys):
    assert tool.program(['verify', str(folder)]) == 0
    assert capsys.readouterr().out == '0 problems found\n'
    path = next((folder / 'features').glob('*.npy'))
    path.write_bytes(path.read_bytes()[:-1])
    assert tool.program(['verify', str(folder)]) == 1
    assert capsys.readouterr().out.endswith('1 problem found\n')
    assert tool.program(['undo', str(folder.parent)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith('error: ') and said.err.count('\n') == 1 and not said.out


def test_help_does_not_wait_for_torch():
    code = (
        'import sys; from tools import catalogue; import wildlife.catalogue.commands; '
        'assert "torch" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
