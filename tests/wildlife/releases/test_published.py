"""With the published lists, where PUBLISHED_LISTS names their folder."""

import json
from collections import Counter
from pathlib import Path

import pytest

from datasets.animal import load_test, load_train
from datasets.records import read_list
from tests.helpers import PUBLISHED_LISTS, needs_published_lists
from tests.wildlife.releases.world import (
    atrw_files,
    cfg_of,
    listed,
    photo,
    run,
    write_atrw,
    write_zip,
)
from tools import prepare_atrw, prepare_elephant, prepare_yak
from wildlife.releases.arrange import nonblank


@pytest.fixture(scope='module')
def as_published(tmp_path_factory):
    """The three releases under the names of the published lists, and what --like makes of them."""
    folder = tmp_path_factory.mktemp('published')

    def names(*lists):
        return sorted(
            {record.path for name in lists for record in read_list(PUBLISHED_LISTS / name)}
        )

    entities = {
        Path(path).name: int(path.split('/')[1]) for path in names('mytrain.txt', 'myval.txt')
    }
    write_atrw(
        folder / 'tiger',
        atrw_files(entities, json.loads((PUBLISHED_LISTS / 'gt_test_plain.json').read_text())),
    )
    train = names('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt')
    write_zip(
        folder / 'yak.zip',
        {
            **{
                f'IJCB 2021/train/{int(path.split("/")[1]) - 300}/{Path(path).name}': photo(path)
                for path in train
            },
            **{
                f'IJCB 2021/hard-test/val/{path}': photo(path)
                for path in names(
                    'yak_probe_hard.txt',
                    'yak_gallery_hard.txt',
                    'yak_probe_simple.txt',
                    'yak_gallery_simple.txt',
                )
            },
        },
    )
    write_zip(
        folder / 'crops.zip',
        {f'crops/{path}': photo(path) for path in names('ele_new_test_gallery.txt')},
    )
    releases = {
        prepare_atrw: folder / 'tiger',
        prepare_yak: folder / 'yak.zip',
        prepare_elephant: folder / 'crops.zip',
    }
    for tool, release in releases.items():
        run(tool, release, folder / 'like', '--like', PUBLISHED_LISTS)
    return folder, releases


@needs_published_lists
def test_the_published_lists_work_as_they_are(as_published):
    folder = as_published[0] / 'like'
    assert (
        len({path.name for path in (folder / 'lists').iterdir()}) == 15 + 1
    )  # lists and the ground truth
    for path in (folder / 'lists').glob('*.txt'):
        ours, theirs = map(nonblank, (path, PUBLISHED_LISTS / path.name))
        if (
            path.name == 'all_train_aligned.txt'
        ):  # there the order differs from that of the three lists, in eight lines
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, path.name
    for species in ('tiger', 'yak', 'elephant'):  # every photo is where the ymls look for it
        load_train(cfg_of(species, folder))
        load_test(cfg_of(species, folder))
    load_test(cfg_of('yak', folder, 'DATASETS.SPECIES', 's_yak'))
    load_train(cfg_of('tiger', folder, 'DATASETS.SPECIES', 'all'))


@needs_published_lists
def test_made_lists_are_the_published_ones_up_to_the_draw(as_published, tmp_path):
    """Same photos, folders, labels, sides; validation photos of the same individuals; the tiger
    test the same line by line.
    """
    folder, releases = as_published
    made = tmp_path / 'lists'
    for tool in (prepare_atrw, prepare_yak):  # most photos are there by now
        tool.main(
            [str(releases[tool]), '--out', str(folder / 'like' / 'data'), '--lists', str(made)]
        )
    assert read_list(made / 'mytest.txt') == read_list(PUBLISHED_LISTS / 'mytest.txt')
    for train, val in (
        ('mytrain.txt', 'myval.txt'),
        ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
    ):
        assert listed(made, train, val) == listed(PUBLISHED_LISTS, train, val)
        assert Counter(row[0] for row in listed(made, val).values()) == Counter(
            row[0] for row in listed(PUBLISHED_LISTS, val).values()
        )
    sizes = []
    for folder in (made, PUBLISHED_LISTS):
        split = [read_list(folder / f'yak_{name}_simple.txt') for name in ('probe', 'gallery')]
        sizes.append(
            [
                sorted((record.path, record.pid) for records in split for record in records),
                *(Counter(record.pid for record in records) for records in split),
            ]
        )
    assert sizes[0] == sizes[1]
