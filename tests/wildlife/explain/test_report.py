"""Where the model looks, in the report of a test."""

import pytest

import test_clipreid
from tests.tools.feature_worlds import untrained_world
from utils.errors import InputError


@pytest.fixture(scope='module')
def asked(tmp_path_factory, toy_weights):
    return untrained_world(tmp_path_factory.mktemp('report'), toy_weights)


def report_of(asked, folder, *options):
    """The page of a test."""
    usual = ('TEST.WEIGHT', asked.weight, 'TEST.BOOTSTRAP', 0, 'OUTPUT_DIR', folder)
    test_clipreid.main(asked.args(*usual, *options))
    return (folder / 'report.html').read_text(encoding='utf-8')


def test_the_report_shows_the_hardest_queries(asked, tmp_path, no_pictures):
    page = report_of(asked, tmp_path, 'TEST.EXPLAIN', 2)
    assert page.count('<figure class="look">') == 2
    assert 'The 2 hardest queries' in page and 'the nearest wrong photo shows individual' in page


def test_a_test_of_an_encoder_without_places_goes_on(asked, tmp_path, monkeypatch, no_pictures):
    def no_places(model):
        raise InputError('Flat has no positions')

    monkeypatch.setattr('wildlife.explain.maps.recorded_places', no_places)
    page = report_of(asked, tmp_path, 'TEST.EXPLAIN', 1)
    assert 'id="looks"' not in page and '#looks"' not in page
    log = (tmp_path / 'test_log.txt').read_text(encoding='utf-8')
    assert 'The report does not show where the model looks: Flat has no positions' in log
