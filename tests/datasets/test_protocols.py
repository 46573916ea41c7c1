"""Which protocol a test follows, ATRW's ground truth, and the lists of a species."""

import json

import pytest

from datasets.atrw import attach_atrw, read_atrw
from datasets.protocols import PROTOCOLS, resolve_protocol
from datasets.records import Record, read_list
from tests.helpers import PUBLISHED_LISTS, ROOT, needs_published_lists
from utils.errors import InputError

GOLDEN = json.loads((ROOT / 'tests/golden/data.json').read_text())
TRUTH = [
    {'imgid': 0, 'entityid': 7, 'query': 'sing', 'frame': [1, 2, 30]},
    {'imgid': 12, 'entityid': 8, 'query': 'multi', 'frame': [1, 3, 40]},
]


def records_of(*paths, pid=0):
    return [Record(path, pid) for path in paths]


@pytest.mark.parametrize(
    ('species', 'drop_nearest', 'ap', 'ignore'),
    [
        ('tiger', True, 'precision', 'sequence'),
        ('elephant', True, 'trapezoid', ''),
        ('debug', True, 'trapezoid', ''),
        ('yak', False, 'trapezoid', ''),
        ('h_yak', False, 'trapezoid', ''),
        ('s_yak', False, 'trapezoid', ''),
    ],
)
def test_species_protocols(species, drop_nearest, ap, ignore):
    photos = records_of('a.jpg')
    protocol = resolve_protocol('', species, photos, photos)
    assert protocol is PROTOCOLS[species]
    assert (protocol.drop_nearest, protocol.ap, protocol.ignore) == (drop_nearest, ap, ignore)
    assert protocol.no_positive == 'zero'
    assert protocol.query_list and protocol.gallery_list and protocol.text


@needs_published_lists
@pytest.mark.parametrize(
    'name', [name for name, protocol in PROTOCOLS.items() if protocol.query_list]
)
def test_species_protocols_fit_the_published_lists(name, caplog):
    protocol = PROTOCOLS[name]
    query, gallery = (
        read_list(PUBLISHED_LISTS / protocol.query_list),
        read_list(PUBLISHED_LISTS / protocol.gallery_list),
    )
    assert resolve_protocol('', name, query, gallery) is protocol
    assert not caplog.text


def test_own_species_is_judged_by_its_lists():
    gallery = records_of('a.jpg', 'b.jpg')
    assert (
        resolve_protocol('', 'nyala', records_of('a.jpg', 'z.jpg'), gallery).name
        == 'query_in_gallery'
    )
    assert (
        resolve_protocol('', 'nyala', records_of('y.jpg', 'z.jpg'), gallery).name == 'query_apart'
    )


def test_protocol_by_name(caplog):
    inside, gallery = records_of('a.jpg'), records_of('a.jpg', 'b.jpg')
    assert resolve_protocol('elephant', 'yak', inside, gallery).name == 'elephant'
    with pytest.raises(
        InputError,
        match="PROTOCOL 'elefant' does not suit animals; choose one of tiger, yak, h_yak",
    ):
        resolve_protocol('elefant', 'yak', inside, gallery)
    assert not caplog.text
    resolve_protocol('', 'yak', inside, gallery)
    assert '1 of 1 query photos are in the gallery' in caplog.text
    resolve_protocol('', 'elephant', records_of('a.jpg', 'z.jpg'), gallery)
    assert '1 of 2 query photos are not in the gallery' in caplog.text


def test_camera_filter_is_off_with_one_camera():
    one, two = [Record('a', 0), Record('b', 0)], [Record('a', 0), Record('b', 0, camid=1)]
    assert resolve_protocol('market', '', one[:1], one[1:]).name == 'market_one_camera'
    assert resolve_protocol('market', '', two[:1], two[1:]).name == 'market'
    nobody = [*one[1:], Record('nobody', -1, camid=1)]
    assert resolve_protocol('market', '', one[:1], nobody).name == 'market_one_camera'


CROSS = {
    'cross-camera': [Record('a.jpg', 0, camera=0), Record('b.jpg', 0, camid=1, camera=1)],
    'cross-encounter': [Record('a.jpg', 0, encounter=0), Record('b.jpg', 0, encounter=1)],
    'cross-side': [Record('a.jpg', 0, side=0), Record('b.jpg', 0, side=1)],
    'all': records_of('a.jpg', 'b.jpg'),
}


@pytest.mark.parametrize('name', CROSS)
def test_protocols_for_lists_of_ones_own(name, caplog):
    photos = CROSS[name]
    protocol = resolve_protocol(name, 'nyala', photos, photos)
    assert protocol is PROTOCOLS[name]
    assert (protocol.ap, protocol.no_positive, protocol.drop_nearest) == (
        'precision',
        'skip',
        False,
    )
    assert 'a photo is never compared with itself' in protocol.text
    assert not caplog.text  # a query in the gallery is no surprise


@pytest.mark.parametrize('name', ['cross-camera', 'cross-encounter', 'cross-side'])
def test_lists_without_what_the_protocol_needs(name, caplog):
    what = name.removeprefix('cross-')
    photos = records_of('a.jpg', 'b.jpg')
    with pytest.raises(
        InputError, match=f"'{name}' needs {what}s, but .* 'path label side camera encounter'"
    ):
        resolve_protocol(name, 'nyala', photos, photos)
    resolve_protocol(name, 'nyala', photos, CROSS[name])
    assert f'2 of 4 listed photos have no {what}' in caplog.text


def test_distractors_do_not_need_what_the_protocol_needs(caplog):
    resolve_protocol(
        'cross-encounter',
        'nyala',
        CROSS['cross-encounter'],
        [*CROSS['cross-encounter'], Record('x.jpg', -1)],
    )
    assert not caplog.text


def test_a_copy_stands_for_the_query_that_is_dropped(caplog):
    resolve_protocol(
        'query_in_gallery', '', records_of('a.jpg'), [Record('b.jpg', 0, copy_of='a.jpg')]
    )
    assert not caplog.text


def test_one_camera_is_no_camera_to_cross():
    photos = [Record('a.jpg', 0, camera=3), Record('b.jpg', 0, camera=3), Record('c.jpg', 0)]
    with pytest.raises(InputError, match='do not tell two cameras apart'):
        resolve_protocol('cross-camera', 'nyala', photos, photos)


def write_truth(tmp_path, content):
    path = tmp_path / 'truth.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_read_and_attach_atrw(tmp_path, caplog):
    path = write_truth(tmp_path, TRUTH)
    truth = read_atrw(path)
    assert truth == {
        '000000': Record('000000', 7, frame=(1, 2, 30), group='sing'),
        '000012': Record('000012', 8, frame=(1, 3, 40), group='multi'),
    }
    listed = [Record('sub/000012.jpg', 8), Record('000000.jpg', 7)]
    assert attach_atrw(listed, truth, path) == [
        Record('sub/000012.jpg', 8, frame=(1, 3, 40), group='multi'),
        Record('000000.jpg', 7, frame=(1, 2, 30), group='sing'),
    ]
    assert not caplog.text
    attach_atrw(listed[:1], truth, path)
    assert '1 of its 2 photos are not in the list' in caplog.text


@needs_published_lists
def test_published_ground_truth():
    path, expected = PUBLISHED_LISTS / 'gt_test_plain.json', GOLDEN['gt_test_plain']
    records = attach_atrw(read_list(PUBLISHED_LISTS / 'mytest.txt'), read_atrw(path), path)
    groups = [record.group for record in records]
    assert (groups.count('sing'), groups.count('multi')) == (expected['sing'], expected['multi'])
    assert len({record.frame[:2] for record in records}) == expected['sequences']
    assert list(records[0].frame) == expected['first']['frame']
    assert list(records[-1].frame) == expected['last']['frame']


def test_list_and_ground_truth_disagree(tmp_path):
    path = write_truth(tmp_path, TRUTH)
    truth = read_atrw(path)
    strangers = [Record(f'{number:06d}.jpg', 7) for number in (0, 1, 2, 3, 4)]
    with pytest.raises(
        InputError, match=r'4 of 5 photos .*\(000001.jpg, 000002.jpg, 000003.jpg …\)'
    ):
        attach_atrw(strangers, truth, path)
    with pytest.raises(
        InputError, match='000012.jpg is entity 8 there, but its label in the list is 7'
    ):
        attach_atrw([Record('000012.jpg', 7)], truth, path)


@pytest.mark.parametrize(
    ('content', 'complaint'),
    [
        ('{not json', 'not JSON'),
        ({}, 'should be a list'),
        ([], 'should be a list'),
        ([3], 'entry 1: expected'),
        ([{**TRUTH[0], 'query': 'both'}], 'entry 1: expected'),
        ([{**TRUTH[0], 'entityid': True}], 'entry 1: expected'),
        ([{**TRUTH[0], 'imgid': '0'}], 'entry 1: expected'),
        ([TRUTH[0], {**TRUTH[1], 'frame': [1, 2]}], 'entry 2: expected'),
        ([{'imgid': 0, 'entityid': 7, 'query': 'sing'}], 'entry 1: expected'),
        ([TRUTH[0], TRUTH[0]], 'imgid 0 occurs twice'),
    ],
)
def test_bad_ground_truth(tmp_path, content, complaint):
    with pytest.raises(InputError, match='truth.json: ') as caught:
        read_atrw(write_truth(tmp_path, content))
    assert complaint in str(caught.value)
    assert '\n' not in str(caught.value)


def test_missing_ground_truth(tmp_path):
    with pytest.raises(InputError, match='no such file.*DATASETS.GROUND_TRUTH'):
        read_atrw(str(tmp_path / 'gone.json'))
    with pytest.raises(InputError, match='cannot be read'):
        read_atrw(str(tmp_path))
