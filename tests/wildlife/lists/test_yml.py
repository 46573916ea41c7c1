"""wildlife/lists/yml.py, by whole runs of make_lists and by its functions."""

import pytest

from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from datasets.sampler import choose_batch
from tests.helpers import ROOT
from tests.wildlife.lists.samples import lists, run, save, table_rows, write_csv, write_folder
from utils.errors import InputError
from utils.metrics import count_positives
from wildlife.lists import yml as list_yml
from wildlife.lists.yml import DataSet, fitting_size
from wildlife.words import counted


def test_a_small_batch_leaves_an_epoch_its_photos(tmp_path):
    for number, photos in enumerate([1, 1, 40, 36, 30, 4, 4, 3]):
        for photo in range(photos):
            save(tmp_path / 's' / f'i{number}' / f'{photo}.png')
    facts = run(tmp_path / 's', tmp_path / 'out', '--protocol', 'closed', '--val-share', 0)
    batch = load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml').SOLVER.STAGE2.IMS_PER_BATCH
    epoch = choose_batch([record.pid for record in lists(tmp_path / 'out')['train']], 16, 4)
    assert batch == 4 * epoch.individuals < 32
    assert any(
        f'so {epoch.individuals} and not 16 in a batch' in note
        and note.endswith(f'about {counted(epoch.steps, "batch")}')
        for note in facts['notes']
    )


@pytest.mark.parametrize(
    ('shape', 'size'),
    [(0.5, (256, 128)), (1, (176, 192)), (1.5, (144, 224)), (20, (48, 688)), (0.02, (1280, 32))],
)
def test_a_size_that_fits_the_photos(shape, size):
    assert fitting_size(shape) == size and all(side % 16 == 0 for side in size)


def test_photos_of_another_shape_are_told(tmp_path):
    facts = run(write_folder(tmp_path / 's'), tmp_path / 'out')
    for kind in ('cnn', 'vit'):
        path = tmp_path / 'out' / f'{kind}_clipreid.yml'
        assert list(load_cfg(path).INPUT.SIZE_TRAIN) == [256, 128]  # as published
        text = path.read_text()
        for line in ('INPUT:', '  SIZE_TRAIN: [144, 224]', '  SIZE_TEST: [144, 224]'):
            assert f'#{line}' in text
            text = text.replace(f'#{line}', line)
        path.write_text(text)
        assert list(load_cfg(path).INPUT.SIZE_TEST) == [144, 224]
    assert any(
        'median width / height 1.50' in note and '144 x 224' in note for note in facts['notes']
    )
    for path in (tmp_path / 's').glob('*/*.png'):
        save(path, size=(16, 32))
    facts = run(tmp_path / 's', tmp_path / 'out2')
    assert (
        not any('median width / height' in note for note in facts['notes'])
        and 'INPUT' not in (tmp_path / 'out2' / 'cnn_clipreid.yml').read_text()
    )


def test_the_shape_is_that_of_the_photos_that_are_split(tmp_path):
    source = write_folder(tmp_path / 's', photos=3)
    for number in range(40):
        save(source / f'single{number}' / 'x.png', size=(16, 32))
    facts = run(source, tmp_path / 'out', '--min-photos', 2)
    assert any('median width / height 1.50' in note for note in facts['notes'])


@pytest.mark.parametrize('options', [(), ('--protocol', 'closed', '--sides', 'separate')])
def test_the_ymls_are_ready_to_train_and_test(tmp_path, monkeypatch, options):
    monkeypatch.chdir(ROOT)
    run(
        write_csv(tmp_path / 'm.csv', table_rows(tmp_path, encounters=4)),
        tmp_path / 'tiger',
        *options,
    )
    for kind in ('cnn', 'vit'):
        cfg = load_cfg(
            tmp_path / 'tiger' / f'{kind}_clipreid.yml',
            ['OUTPUT_DIR', str(tmp_path / 'o'), 'DATALOADER.NUM_WORKERS', '0'],
        )
        assert (
            cfg.DATASETS.SPECIES == 'own_tiger'
        )  # else the tiger's lists and ground truth would be taken
        assert (
            f"OUTPUT_DIR: './output/own_tiger/{kind}'"
            in (tmp_path / 'tiger' / f'{kind}_clipreid.yml').read_text()
        )
        loaders = make_dataloader(cfg)
        assert next(iter(loaders.train_loader_stage2))[0].shape == (
            cfg.SOLVER.STAGE2.IMS_PER_BATCH,
            3,
            *cfg.INPUT.SIZE_TRAIN,
        )
        assert loaders.num_query > 0
        test = make_test_dataloader(cfg)
        assert test.protocol.name == 'cross-encounter'
        assert (count_positives(test.query, test.gallery, test.protocol) > 0).all()


def test_the_ymls_of_a_test_without_training(tmp_path):
    facts = run(
        write_csv(tmp_path / 'm.csv', table_rows(tmp_path)), tmp_path / 'out', '--test-share', 1
    )
    path = tmp_path / 'out' / 'cnn_clipreid.yml'
    cfg = load_cfg(path, ['DATALOADER.NUM_WORKERS', '0'])
    assert 'only a test' in path.read_text() and cfg.DATASETS.TRAIN_LIST == ''
    assert cfg.SOLVER.STAGE2.IMS_PER_BATCH == 64  # as published: nothing says that it is too large
    test = make_test_dataloader(cfg)
    assert len(test.query) == len(test.gallery) == 48
    with pytest.raises(InputError, match='has no train list'):
        make_dataloader(cfg)
    programs = [command.split()[1:3] for command in facts['commands']]
    assert programs[0] == ['-m', 'tools.check_data'] and ['-m', 'tools.rank_photos'] in programs
    assert not any('train_clipreid.py' in command for command in facts['commands'])
    assert all(command.endswith('TEST.WEIGHT start') for command in facts['commands'][1:])


def test_paths_in_the_ymls_are_relative_from_the_project_alone(tmp_path, monkeypatch):
    project = tmp_path / 'project'
    monkeypatch.setattr(list_yml, 'PROJECT', project)
    (project / 'configs').mkdir(parents=True)
    monkeypatch.chdir(project)

    def text(out, root):
        labels = [number for number in range(20) for _ in range(4)]
        data = DataSet(out, root, 'nyala', labels, 100, ['train', 'query', 'gallery'], 'all', 0.5)
        return list_yml.yml_text('cnn', data).splitlines()

    near = text(project / 'datalist' / 'nyala', tmp_path / 'data' / 'nyala')
    for line in (
        "_BASE_: '../../configs/base_cnn.yml'",
        "  DATA_DIR: 'nyala'",
        "  TEST_ROOT_DIR: '../data/nyala'",
        "  LIST_DIR: 'datalist/nyala'",
        "  VAL_LIST: ''",
        "OUTPUT_DIR: './output/nyala/cnn'",
    ):
        assert line in near
    assert any(line.startswith("  ROOT_DIR: '../data' ") for line in near)
    monkeypatch.chdir(tmp_path)
    far = text(project / 'datalist' / 'nyala', tmp_path / 'data' / 'nyala')
    assert f"  TEST_ROOT_DIR: '{tmp_path / 'data' / 'nyala'}'" in far
