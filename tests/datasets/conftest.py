"""A small species with its photos."""

from types import SimpleNamespace as Namespace

import pytest

from tests.datasets.animal_lists import GALLERY, QUERY, TRAIN, VAL, make_photos, write_list


@pytest.fixture
def cfg(tmp_path):
    """A species of one's own with all its photos."""
    lists = tmp_path / 'lists'
    lists.mkdir()
    for name, rows in [('train', TRAIN), ('val', VAL), ('query', QUERY), ('gallery', GALLERY)]:
        write_list(lists / f'{name}.txt', rows)
    make_photos(tmp_path / 'photos/seg', TRAIN + VAL)
    make_photos(tmp_path / 'test', QUERY + GALLERY)
    return Namespace(
        MODEL=Namespace(SIE_CAMERA=False, SIE_VIEW=False),
        DATASETS=Namespace(
            NAMES='animals',
            SPECIES='nyala',
            ROOT_DIR=str(tmp_path / 'photos'),
            DATA_DIR='seg',
            TEST_ROOT_DIR=str(tmp_path / 'test'),
            LIST_DIR=str(lists),
            TRAIN_LIST='train.txt',
            VAL_LIST='val.txt',
            QUERY_LIST='query.txt',
            GALLERY_LIST='gallery.txt',
            PROTOCOL='',
            GROUND_TRUTH='',
            SKIP_MISSING=False,
            SKIP_BROKEN=False,
            ALLOW_OUTSIDE=False,
        ),
        INPUT=Namespace(
            SIZE_TRAIN=[16, 8],
            SIZE_TEST=[12, 6],
            PROB=0.5,
            RE_PROB=0.5,
            PADDING=2,
            PIXEL_MEAN=[0.5, 0.5, 0.5],
            PIXEL_STD=[0.5, 0.5, 0.5],
        ),
        DATALOADER=Namespace(
            SAMPLER='softmax_triplet', NUM_INSTANCE=2, NUM_WORKERS=0, CACHE_GB=1.0
        ),
        SOLVER=Namespace(
            SEED=11, STAGE1=Namespace(IMS_PER_BATCH=3), STAGE2=Namespace(IMS_PER_BATCH=4)
        ),
        TEST=Namespace(IMS_PER_BATCH=4),
        OUTPUT_DIR=str(tmp_path),
    )
