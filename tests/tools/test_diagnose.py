"""tools.diagnose: a set whose background decides and one whose animals do are told apart."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import test_clipreid
from tests.wildlife.diagnosis.worlds import INDIVIDUALS, PHOTOS, MaskedWorld
from tools import diagnose, extract_features
from utils.errors import InputError
from wildlife.features.files import read_features


@pytest.fixture(scope='module')
def worlds(tmp_path_factory, toy_weights):
    return {
        decides: MaskedWorld(tmp_path_factory.mktemp(decides), toy_weights, decides)
        for decides in ('animal', 'background')
    }


def run(world, *options):
    page = diagnose.main(world.args('--masks', world.masks, *options))
    return json.loads(page.with_name('diagnosis.json').read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def found(worlds):
    return {name: run(world) for name, world in worlds.items()}


def words(result, topic):
    (finding,) = [each for each in result['findings'] if each['topic'] == topic]
    return finding['verdict'], finding['text']


def test_the_background_is_told_from_the_animal(found):
    verdict, text = words(found['background'], 'background')
    assert verdict == 'decides much' and 'The background decides much' in text
    verdict, text = words(found['animal'], 'background')
    assert verdict == 'hardly uses it' and 'gives the model hardly anything' in text
    for result in found.values():
        assert words(result, 'test')[0] == 'finds animals'
    assert words(found['background'], 'animal')[0] == 'finds less'


def test_the_words_have_the_figures(found):
    parts = found['background']['parts']
    for view in ('background', 'outline'):
        assert (
            f'{100 * parts[f"{view}/mAP"]["value"]:.1f} %'
            in words(found['background'], 'background')[1]
        )
    low, high = parts['background share']['interval']
    assert f'[{100 * low:.1f}, {100 * high:.1f}]' in words(found['background'], 'background')[1]


def test_whole_photos_are_those_of_the_test(worlds, found, no_pictures):
    world = worlds['animal']
    words = ('TEST.REPORT', False, 'OUTPUT_DIR', world.folder / 'tested')
    metrics = test_clipreid.main(world.args(*words))
    results = json.loads((world.folder / 'tested/results.json').read_text())
    parts = found['animal']['parts']
    for name in ('mAP', 'rank1'):
        assert parts[f'whole/{name}']['value'] == pytest.approx(metrics[name], abs=1e-9)
        interval = results['measures']['intervals'][name]
        assert parts[f'whole/{name}']['interval'] == pytest.approx(interval, abs=1e-9)
    assert parts['chance/rank1']['value'] == pytest.approx(results['measures']['values']['chance'])
    assert found['animal']['data'] == results['data']


def test_encounters_and_flanks(found):
    for result in found.values():
        assert words(result, 'encounters')[0] == 'unclear'  # its photos share nothing
        assert words(result, 'other flank')[0] == 'finds it'
        gallery = INDIVIDUALS * PHOTOS // 2
        # photo 0 looks for 1 and 2 for 1: one match among all but the animal's other photo
        expected = 1 / (gallery - 1)
        assert result['flank']['chance/rank1']['value'] == pytest.approx(expected)


def test_without_masks_the_rest(worlds, capsys, tmp_path):
    world = worlds['animal']
    page = diagnose.main(world.args('--out', tmp_path / 'new/here', 'TEST.BOOTSTRAP', 0))
    assert page == tmp_path / 'new/here/diagnosis.html'
    result = json.loads(page.with_name('diagnosis.json').read_text())
    assert words(result, 'background')[0] == 'not examined' and 'animal/mAP' not in result['parts']
    assert words(result, 'mirror')[0] == 'no interval'
    assert {each['verdict'] for each in result['findings']} == {'not examined', 'no interval'}
    shown = capsys.readouterr().out
    assert 'Without masks (--masks)' in shown and 'No intervals: TEST.BOOTSTRAP is 0' in shown
    diagnose.main(world.args('--out', tmp_path / 'new/here', 'TEST.BOOTSTRAP', 0))
    assert (tmp_path / 'new/here/diagnosis.1.json').is_file()


def test_mirror_images_are_measured_on_the_flipped_files(worlds, found):
    """An independent path: the test's own features of photos that are flipped on the disk."""
    world = worlds['animal']
    flipped = world.folder / 'flipped'
    for path in (world.folder / 'test').rglob('*.png'):
        target = flipped / path.relative_to(world.folder / 'test')
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path))[:, ::-1]).save(target)
    tables = []
    for root in (world.folder / 'test', flipped):
        words = ('--splits', 'query', '--out', world.folder / 'f.npz')
        extract_features.main(world.args('DATASETS.TEST_ROOT_DIR', root, *words))
        table = read_features(world.folder / 'f.npz')
        tables.append(dict(zip(table.paths, table.features)))
    photos, mirrored = (
        torch.tensor(np.array([each[name] for name in tables[0]])) for each in tables
    )
    expected = torch.cosine_similarity(photos, mirrored).mean()
    assert found['animal']['mirror']['mirror']['value'] == pytest.approx(float(expected), abs=1e-5)


def test_bad_masks_are_one_line(worlds, tmp_path):
    world = worlds['animal']
    (tmp_path / 'masks/0').mkdir(parents=True)
    Image.new('L', (40, 30)).save(tmp_path / 'masks/0/0.png')
    out = tmp_path / 'out'
    with pytest.raises(InputError, match=r'--masks .*: 47 of 48 photos have no mask'):
        diagnose.main(world.args('--masks', tmp_path / 'masks', '--out', out))
    with pytest.raises(InputError, match='no such folder'):
        diagnose.main(world.args('--masks', tmp_path / 'none', '--out', out))
    with pytest.raises(InputError, match='the mask has 20 x 10 pixels, but its photo has 40 x 30'):
        shutil.copytree(world.masks, tmp_path / 'sizes')
        Image.new('L', (20, 10)).save(tmp_path / 'sizes/7/1.png')
        diagnose.main(world.args('--masks', tmp_path / 'sizes', '--out', out))
    assert list(out.iterdir()) == []
    (tmp_path / 'file').touch()
    with pytest.raises(
        InputError, match='cannot write --out .*file: File exists; choose another folder'
    ):
        diagnose.main(world.args('--out', tmp_path / 'file'))


def test_no_match_is_one_line(worlds, tmp_path):
    world = worlds['animal']
    (tmp_path / 'query.txt').write_text('0/0.png 0\n')
    (tmp_path / 'gallery.txt').write_text('1/1.png 1\n')
    with pytest.raises(InputError, match='no query has a match in the gallery'):
        diagnose.main(world.args('--masks', world.masks, 'DATASETS.LIST_DIR', tmp_path))
