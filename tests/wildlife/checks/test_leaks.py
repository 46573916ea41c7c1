"""What leaks from the train list into the tests."""

import pytest

from tests.wildlife.checks.herd import closed, only, paths, picture


@pytest.mark.parametrize('split', ['val', 'query', 'gallery'])
def test_a_train_photo_elsewhere(herd, split):
    """The same file, and its bytes under another name."""
    pid = 2 if split == 'val' else 0
    herd.add(split, 'train/animal2/0.jpg', pid)
    copy = herd.folder / 'photos/test/animal6/copy.jpg'
    copy.write_bytes((herd.folder / 'photos/train/animal2/1.jpg').read_bytes())
    herd.add(split, 'test/animal6/copy.jpg', pid)
    found, report = herd.check()
    finding = only(found, 'leak', 'wrong')
    assert (
        paths(finding) == [('animal2/0.jpg',) * 2, ('animal2/1.jpg', 'animal6/copy.jpg')]
        and not report['fit']
    )
    assert f'2 {dict(val="validation").get(split, split)}' in finding['text']


@pytest.mark.parametrize('split', ['val', 'query', 'gallery'])
def test_nearly_a_train_photo_elsewhere(herd, split):
    herd.add(
        split,
        'test/animal6/7.jpg',
        2 if split == 'val' else 0,
        herd.photo('train/animal2/0.jpg').resize((100, 100)),
    )
    found, _ = herd.check()
    assert paths(only(found, 'alike_leak', 'wrong')) == [('animal2/0.jpg', 'animal6/7.jpg')]


def test_nearly_a_leaked_photo(herd):
    """Which of the two is listed first does not matter."""
    herd.add(
        'train', 'train/animal2/7.jpg', 2, herd.photo('train/animal2/0.jpg').resize((100, 100))
    )
    herd.add('query', 'train/animal2/0.jpg', 0)
    found, _ = herd.check()
    assert paths(found['leak']) == [('animal2/0.jpg',) * 2]
    assert paths(found['alike_leak']) == [('animal2/0.jpg', 'animal2/7.jpg')]


def test_an_encounter_on_both_sides(herd):
    encounter = herd.lists['train'][0].split()[-1]
    herd.add('query', 'test/animal6/7.jpg', 0, picture(100), encounter)
    found, report = herd.check()
    finding = only(found, 'encounter_leak', 'wrong')
    assert paths(finding) == [('animal0/0.jpg', 'animal6/7.jpg')] and not report['fit']
    assert finding['items'][0]['photos'][0]['encounter'] == int(encounter)


def test_an_encounter_in_validation_is_a_warning(herd):
    herd.add('val', 'val/animal0/7.jpg', 0, picture(100), herd.lists['train'][0].split()[-1])
    found, report = herd.check()
    only(found, 'encounter_validation', 'warning')
    assert report['fit']


def test_bursts_are_counted_and_no_more(herd):
    """Photos of one individual that are nearly the same: of one encounter that is normal, else
    worth a look.
    """
    photo, encounter = herd.photo('train/animal0/0.jpg'), herd.lists['train'][0].split()[-1]
    herd.add('train', 'train/animal0/7.jpg', 0, photo.resize((100, 100)), encounter)
    found, report = herd.check()
    assert (
        only(found, 'bursts', 'note')['count'] == 1
        and found['bursts']['items'] == []
        and report['fit']
    )
    herd.add('train', 'train/animal0/8.jpg', 0, photo.resize((80, 80)))
    found, report = herd.check()
    assert found['bursts']['count'] == 1 and report['fit']
    assert paths(found['alike']) == [('animal0/0.jpg', 'animal0/7.jpg', 'animal0/8.jpg')]
    assert found['alike']['level'] == 'warning'


def test_train_individuals_in_the_test(herd):
    herd.lists['gallery'] = [line for line in herd.lists['gallery'] if 'animal8' not in line]
    herd.lists['query'] = [line for line in herd.lists['query'] if 'animal8' not in line]
    for split, number in (('query', 5), ('gallery', 6)):
        herd.add(split, f'later/animal0/{number}.jpg', 2, picture(100 + number))
    found, report = herd.check()
    assert [item['text'] for item in only(found, 'known', 'wrong')['items']] == [
        'animal0'
    ] and not report['fit']
    assert not herd.check('--closed')[0]


def test_a_closed_set_is_no_leak(herd):
    closed(herd)
    found, report = herd.check()
    only(found, 'closed', 'note')
    assert report['fit'] and report['protocol'] == 'query_apart'


def test_leaks_of_a_closed_set(herd):
    """Its queries must be new all the same: as photos, nearly, and as encounters."""
    closed(herd)
    herd.lists['query'].append(herd.lists['train'][0])
    herd.add(
        'query', 'train/animal1/7.jpg', 1, herd.photo('train/animal1/0.jpg').resize((100, 100))
    )
    herd.add('query', 'train/animal2/7.jpg', 2, picture(101), herd.lists['train'][6].split()[-1])
    found, _ = herd.check()
    assert paths(found['leak']) == [('animal0/0.jpg',) * 2]
    assert paths(found['alike_leak']) == [('animal1/0.jpg', 'animal1/7.jpg')]
    assert [paths['photos'][0]['encounter'] for paths in found['encounter_leak']['items']] == [1, 9]


def test_train_photos_tell_which_test_label_is_whose(herd):
    closed(herd)
    for split in ('query', 'gallery'):  # numbered in another order
        herd.lists[split] = [
            f'{path} {5 - int(pid)} {rest}'
            for path, pid, rest in (line.split(maxsplit=2) for line in herd.lists[split])
        ]
    only(herd.check()[0], 'closed', 'note')
    assert herd.lists['gallery'][4].startswith('train/animal1/1.jpg 4 ')
    herd.lists['gallery'][4] = herd.lists['gallery'][4].replace(' 4 ', ' 3 ')
    found, report = herd.check()
    assert paths(found['two_labels']) == [('animal1/1.jpg',) * 2] and not report['fit']
    assert (
        'train label 1 is test label 4, and test label 3 is train label 2'
        in found['two_labels']['items'][0]['text']
    )
