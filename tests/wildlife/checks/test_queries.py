"""Queries without a match, copies of queries, distractors."""

import pytest

from tests.wildlife.checks.herd import only, paths, picture
from utils.errors import InputError


def test_queries_without_a_match_in_the_gallery(herd):
    herd.add('query', 'test/animal9/0.jpg', 5, picture(100), 1000)
    found, report = herd.check(PROTOCOL='cross-encounter')
    assert (
        paths(only(found, 'some_without_positive', 'warning')) == [('animal9/0.jpg',)]
        and report['fit']
    )
    herd.lists['query'] = herd.lists['query'][-1:]
    found, report = herd.check(PROTOCOL='cross-encounter')
    assert (
        "1 of 1 queries with protocol 'cross-encounter'"
        in only(found, 'no_positive', 'wrong')['text']
    )
    assert not report['fit']


def duplicate(herd, name, copy):
    (herd.folder / 'photos' / copy).write_bytes((herd.folder / 'photos' / name).read_bytes())


def test_copies_of_one_individual(herd):
    for folder, split, pid in (('train/animal0', 'train', 0), ('test/animal6', 'gallery', 0)):
        duplicate(herd, f'{folder}/1.jpg', f'{folder}/copy.jpg')
        herd.add(split, f'{folder}/copy.jpg', pid)
    found, report = herd.check()
    assert paths(only(found, 'repeated', 'warning')) == [
        ('animal0/1.jpg', 'animal0/copy.jpg'),
        ('animal6/1.jpg', 'animal6/copy.jpg'),
    ]
    assert report['fit']


@pytest.mark.parametrize('protocol', ['', 'all'])
def test_copies_of_queries_in_the_gallery(herd, protocol):
    """One photo listed twice under other names, as of two encounters."""
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.add('gallery', 'test/animal6/copy.jpg', 0, encounter=99)
    found, report = herd.check(PROTOCOL=protocol)
    assert (
        paths(only(found, 'copies', 'wrong')) == [('animal6/0.jpg', 'animal6/copy.jpg')]
        and not report['fit']
    )
    herd.lists['query'] = herd.lists['gallery'] = (
        herd.lists['query'] + herd.lists['gallery']
    )  # against itself
    assert 'copies' in herd.check(PROTOCOL=protocol)[0]


def test_a_query_whose_only_match_is_its_copy(herd):
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.lists['gallery'] = [line for line in herd.lists['gallery'] if 'animal6' not in line]
    herd.add('gallery', 'test/animal6/copy.jpg', 0)
    assert paths(herd.check(PROTOCOL='all')[0]['some_without_positive']) == [('animal6/0.jpg',)]
    assert 'some_without_positive' not in herd.check(PROTOCOL='query_apart')[0]


def test_a_query_whose_copy_is_in_the_gallery_is_counted_as_in_the_test(herd):
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.add('gallery', 'test/animal6/copy.jpg', 0)
    found, _ = herd.check(PROTOCOL='query_in_gallery')
    assert '2 of 3 queries are not in the gallery' in found['itself']['text']
    assert '2 of 3 query photos are not in the gallery' in found['warned']['text']


def test_repeated_lines_and_other_spellings_are_one_photo(herd):
    """Told as training and the test tell it."""
    herd.lists['train'].append(f'./{herd.lists["train"][0]}')
    herd.lists['query'].append(f'test/../{herd.lists["gallery"][0]}')
    found, _ = herd.check(PROTOCOL='query_apart')
    assert (
        'train.txt: 1 of 19 lines repeat an earlier line and are skipped' in found['warned']['text']
    )
    assert found['itself']['text'].startswith('1 of 4 queries are in the gallery') and set(
        found
    ) == {'warned', 'itself'}


def test_distractors(herd):
    """Nobody: no individual, no label that could be wrong, unless somebody says who it is."""
    for number in range(3):
        herd.add('gallery', f'test/nobody{number}/1.jpg', -1, picture(300 + number))
    found, report = herd.check()
    assert not found and report['splits']['gallery']['individuals'] == 3
    herd.add('gallery', 'test/animal6/0.jpg', -1)
    assert paths(herd.check()[0]['two_labels']) == [('animal6/0.jpg',) * 2]
    herd.add('train', 'train/animal0/x.jpg', -1, picture(400))
    with pytest.raises(InputError, match="label '-1' is not a whole number"):
        herd.check()


def test_a_list_against_itself_has_no_copies(herd):
    assert not herd.check(QUERY_LIST='gallery.txt', PROTOCOL='all')[0]
