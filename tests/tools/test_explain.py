"""tools.explain: the whole command."""

import json
import re

import pytest
from PIL import Image

from configs import ConfigError
from tests.tools.feature_worlds import untrained_world
from tools.explain import main
from utils.errors import exit_code
from utils.run.session import Session
from wildlife.explain.run import write_explanations


@pytest.fixture(scope='module')
def asked(tmp_path_factory, toy_weights):
    """A world with an untrained model, and the command line that names it."""
    world = untrained_world(tmp_path_factory.mktemp('explain'), toy_weights)
    size = ('INPUT.SIZE_TRAIN', '[32, 32]', 'INPUT.SIZE_TEST', '[32, 32]')
    world.words = world.args('TEST.WEIGHT', world.weight, *size)
    return world


def test_pairs_queries_and_the_check(asked, tmp_path, capsys):
    photos = [str(asked.folder / f'test/{number}/1.png') for number in (6, 7)]
    options = ('--queries', '2', '--check', '12', '--out', str(tmp_path / 'out'))
    page = main([*asked.words, '--pair', *photos, *options])
    found = json.loads((tmp_path / 'out/explain.json').read_text())
    assert [row['title'].split(':')[0] for row in found['pairs']][0] == 'Pair 1'
    assert len(found['pairs']) == 3 and found['similarity'] == 'cosine similarity'
    assert [photo['path'] for photo in found['pairs'][0]['photos']] == photos
    for number, row in enumerate(found['pairs'], start=1):
        assert row['picture'] == f'pair_{number}.png'
        with Image.open(tmp_path / 'out' / row['picture']) as picture:
            assert picture.format == 'PNG'
        for photo in row['photos']:
            assert len(photo['shares']) == len(photo['contributions']) == 2  # 2 x 2 places
            assert sum(map(sum, photo['shares'])) == pytest.approx(1, abs=1e-5)
    check = found['check']
    assert (check['pairs'], check['individuals']) == (12, 12)
    printed = capsys.readouterr().out
    assert f'falls by {check["loss_important"]:.4g} without the most important tenth' in printed
    text = page.read_text(encoding='utf-8')
    assert text.count('src="data:image/jpeg;base64,') == 3 and '://' not in text
    assert text.count('<figure') == 3 and 'Deletion test: 12 pairs of 12 individuals' in text
    assert found['checkpoint'] == str(asked.weight)


def test_bad_input_is_one_line(asked, tmp_path, capsys):
    photo = str(asked.folder / 'test/6/1.png')
    pair = ('--out', str(tmp_path / 'out'), '--pair', photo)
    cases = {
        'gone.png': (*asked.words, *pair, 'gone.png'),
        'compared with itself': (*asked.words, *pair, photo),
        'has no layers to look into': (*asked.words, *pair, photo, 'TEST.WEIGHT', 'a.npz'),
        'names no model': (*asked.words, *pair, photo, 'TEST.WEIGHT', ''),
    }
    (tmp_path / 'query.txt').write_text('6/0.png 6\n')
    (tmp_path / 'gallery.txt').write_text('6/1.png 6\n')
    (tmp_path / 'file').touch()
    alone = ('DATASETS.LIST_DIR', str(tmp_path), '--queries', '2')
    cases['no query has a match by the protocol .* and a wrong photo'] = (*asked.words, *alone)
    other = str(asked.folder / 'test/7/1.png')
    cases['cannot write --out .*file'] = (
        *(*asked.words, '--pair', photo, other),
        *('--out', str(tmp_path / 'file')),
    )
    for message, words in cases.items():
        assert exit_code(lambda words=words: main(words), ConfigError) == 2
        error = capsys.readouterr().err
        assert re.fullmatch(f'error: .*{message}.*\n', error), error
    assert not (tmp_path / 'out').exists()
    for words in ((), ('--pair', photo)):
        with pytest.raises(SystemExit, match='2'):
            main([*asked.words, *words])


def test_other_processes_write_nothing(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Session, 'main', False)
    main([*asked.words, '--queries', '2', '--check', '12', '--out', str(tmp_path)])
    assert list(tmp_path.iterdir()) == [] and 'explained' not in capsys.readouterr().out


def test_earlier_files_are_kept(tmp_path):
    for name in ('explain.html', 'explain.json', 'pair_1.png', 'pair_2.1.png'):
        (tmp_path / name).write_text(name)
    facts = {'similarity': 'cosine similarity', 'checkpoint': '<b>&.pth', 'whitening': None}
    page = write_explanations(tmp_path, [], None, facts)
    kept = {'explain.1.html', 'explain.1.json', 'pair_1.1.png', 'pair_2.1.png'}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == kept | {'explain.html', 'explain.json'}
    assert (tmp_path / 'explain.1.json').read_text() == 'explain.json'
    assert '&lt;b&gt;&amp;.pth' in page.read_text(encoding='utf-8')
