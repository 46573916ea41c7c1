"""Identification from the question to the files: known and new animals, and what goes wrong."""

import csv
import json
import re
import shlex
from dataclasses import replace
from html import unescape
from itertools import islice
from types import SimpleNamespace

import pytest

from tests.wildlife.catalogue.worlds import ANNA
from tests.wildlife.identify.catalogues import Animals, animals, herd, make_herd
from utils.errors import InputError
from wildlife.catalogue.add import add_photos
from wildlife.catalogue.calibrations import save_calibration
from wildlife.catalogue.create import create_catalogue
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.edit import rename, undo
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos
from wildlife.identify import job, page
from wildlife.identify.calibrating import calibrate, material_of
from wildlife.identify.calibration_file import as_json
from wildlife.identify.gallery import gallery_of
from wildlife.identify.job import Options, identify, record
from wildlife.identify.page import free_names
from wildlife.identify.results import best_first


def calibrated(folder, count=24, encoder=None):
    catalogue = make_herd(folder, count, encoder)
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(count)), draws=50)
    save_calibration(catalogue, ANNA, as_json(made))
    return catalogue


def never():
    raise AssertionError('no model is needed')


def asked(folder, named=False):
    """A fourth encounter of three known animals, and one of a new animal."""
    return animals(folder / 'new', ['A03', 'A11', 'A17', 'Z99'], encounters=(3,), named=named)


@pytest.fixture
def options(tmp_path):
    return Options(tmp_path / 'out', rate=0.05, units='encounter')


def test_known_and_new_animals(tmp_path, options):
    catalogue = calibrated(tmp_path)
    result = identify(catalogue, asked(tmp_path), Animals, options)
    assert [answer.decision for answer in result.answers] == ['known', 'known', 'known', 'new']
    best = [answer.candidates[0].name for answer in result.answers]
    assert best[:3] == ['A03', 'A11', 'A17']
    assert [answer.labels for answer in result.answers][3][0] == 'new'
    assert result.counts() == {'known': 3, 'new': 1, 'unsure': 0}
    rows = list(csv.DictReader((tmp_path / 'out/identify.csv').read_text().splitlines()))
    assert [row['unit'] for row in rows] == [str(1 + number // 2) for number in range(8)]
    for row, answer in zip(rows[::2], result.answers):
        p = [each.probability for each in answer.candidates]
        assert float(row['probability']) == pytest.approx(p[0], abs=1e-4)
        assert float(row['p_new']) == pytest.approx(answer.new, abs=1e-4)
        assert row['decision'] == answer.decision and row['number'] == ''
    tree = json.loads((tmp_path / 'out/identify.json').read_text())
    assert tree['counts'] == result.counts() and len(tree['units']) == 4
    lines = list(csv.DictReader((tmp_path / 'out/candidates.csv').read_text().splitlines()))
    assert len(lines) == 20 and lines[0]['rank'] == '1'
    assert f'/{lines[0]["individual"]}_' in lines[0]['known_photo']
    assert [result.answers[number].decision for number in best_first(result.answers)] == [
        *['known'] * 3,
        'new',
    ]


def test_many_known_animals_hide_no_other_answer_on_the_page(tmp_path, options, monkeypatch):
    monkeypatch.setattr(page, 'SHOWN', 2)
    identify(calibrated(tmp_path), asked(tmp_path), Animals, options)
    html = (tmp_path / 'out/identify.html').read_text()
    assert [html.count(text) for text in ('>known: ', '>a new animal<')] == [2, 1]
    assert 'and 1 more; identify.csv' in html


def test_photos_of_the_catalogue_and_their_record(tmp_path, options):
    """Without PHOTOS no model is loaded; 'none' is not asked again; the record can be undone."""
    catalogue = calibrated(tmp_path)
    add_photos(catalogue, ANNA, asked(tmp_path), Animals())
    numbers = [photo.id for photo in catalogue.photos() if not photo.individual]
    decide(catalogue, ANNA, [Answer(numbers[2], 'none'), Answer(numbers[3], 'unsure')])
    decide(catalogue, ANNA, [Answer(numbers[2], 'unsure')])  # does not take 'none' back
    result = identify(catalogue, None, never, options)
    assert [number for number in numbers if number != numbers[2]] == list(result.question.numbers)
    assert record(catalogue, ANNA, result) == 7
    named = {photo.id: photo.individual for photo in catalogue.photos()}
    expected = ['A03', 'A03', '', 'A11', 'A17', 'A17', '', '']
    assert [named[number] for number in numbers] == expected
    notes = {each.photo_id: each for each in catalogue.decisions()}
    assert notes[numbers[-1]].answer == 'unsure' and notes[numbers[-1]].note.startswith(
        'new, P(new'
    )
    assert notes[numbers[0]].probability == result.answers[0].candidates[0].probability
    undo(catalogue, ANNA)
    assert not any(photo.individual for photo in catalogue.photos() if photo.id in numbers)


def test_a_record_leaves_named_photos_alone(tmp_path, options):
    catalogue = calibrated(tmp_path)
    new = asked(tmp_path)
    add_photos(catalogue, ANNA, new, Animals())
    numbers = [photo.id for photo in catalogue.photos() if not photo.individual]
    decide(catalogue, ANNA, [Answer(numbers[0], 'known', 'A20')])
    assert record(catalogue, ANNA, identify(catalogue, new, never, options)) == 7
    assert {photo.id: photo.individual for photo in catalogue.photos()}[numbers[0]] == 'A20'


def test_a_record_needs_decisions_about_photos_of_the_catalogue(tmp_path, options):
    """It is said before anything is computed or written."""
    catalogue, options = calibrated(tmp_path), replace(options, record=True)
    with pytest.raises(InputError, match='--record needs photos that are in the catalogue'):
        identify(catalogue, asked(tmp_path), never, options)
    (tmp_path / 'plain').mkdir()
    plain = make_herd(tmp_path / 'plain', 3)
    with pytest.raises(InputError, match='--record needs decisions. No probabilities: the catal'):
        identify(plain, asked(tmp_path), never, options)
    assert not list(tmp_path.glob('out/*'))


def test_a_record_of_photos_that_all_have_a_name(tmp_path, options):
    catalogue = calibrated(tmp_path)
    entries = len(catalogue.journal())
    named = animals(tmp_path / 'photos', ['A03'], encounters=(0,))
    result = identify(catalogue, named, never, replace(options, record=True))
    assert record(catalogue, ANNA, result) == 0 and len(catalogue.journal()) == entries


def test_a_photo_of_the_catalogue_is_not_compared_with_its_encounter(tmp_path, options):
    """Though who asks does not know the encounter."""
    catalogue = make_herd(tmp_path, 5)
    (there,) = animals(tmp_path / 'photos', ['A03'], encounters=(1,), count=1).photos
    plain = NewPhotos([NewPhoto(there.path)], 'a folder', [], [])
    (answer,) = identify(catalogue, plain, never, options).answers
    gallery = gallery_of(catalogue.features())
    shown = {gallery.photos[match.row].encounter for match in answer.candidates[0].matches}
    assert answer.candidates[0].name == 'A03' and shown == {'A03 0', 'A03 2'}
    other = replace(there, encounter='mine', side=1 - there.side)
    new = NewPhotos([other], 'a folder', [], [])
    (photo,) = identify(catalogue, new, never, options).question.photos
    assert (photo.encounter, photo.side) == ('A03 1', there.side)


def test_unknown_encounters_are_told(tmp_path, options):
    catalogue = calibrated(tmp_path)
    told = '1 of the photos to identify and 0 of those in the catalogue have'
    new = asked(tmp_path)
    before = identify(catalogue, new, Animals, options).words
    assert not any('of the photos to identify' in word for word in before)
    new.photos[0] = replace(new.photos[0], encounter='')
    words = identify(catalogue, new, Animals, options).words
    assert words[-1].startswith(told)
    gallery = gallery_of(catalogue.features())
    alone = {row: replace(photo, encounter='') for row, photo in list(gallery.photos.items())[:1]}
    asked_all = SimpleNamespace(photos=new.photos[1:])
    (word,) = job.encounter_words(asked_all, replace(gallery, photos=gallery.photos | alone))
    assert word.startswith('0 of the photos to identify and 1 of those in')
    assert told in (tmp_path / 'out/identify.html').read_text()


def test_ranks_alone_without_a_calibration(tmp_path, options):
    (tmp_path / 'plain').mkdir()
    catalogue = make_herd(tmp_path / 'plain', 5)
    result = identify(catalogue, asked(tmp_path), Animals, options)
    assert result.rule is None and result.counts() == {}
    (words,) = result.words
    assert words.startswith('No probabilities: the catalogue is not calibrated.')
    rows = list(csv.DictReader((tmp_path / 'out/identify.csv').read_text().splitlines()))
    assert {(row['decision'], row['probability'], row['p_new'], row['set']) for row in rows} == {
        ('', '', '', '')
    }
    assert words.replace("'", '&#39;') in (tmp_path / 'out/identify.html').read_text()


def test_a_rate_that_the_data_do_not_allow(tmp_path):
    """One line, and nothing is written."""
    catalogue = calibrated(tmp_path)
    with pytest.raises(InputError, match='rates that these data allow: from 0.014 to 1'):
        identify(catalogue, asked(tmp_path), Animals, Options(tmp_path / 'out', 0.01))
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('minutes', [float('nan'), -1, float('inf')])
def test_breaks_that_are_no_time(tmp_path, minutes):
    with pytest.raises(InputError, match='--burst-minutes .* from 0 to 525600'):
        Options(tmp_path, minutes=minutes)
    Options(tmp_path, minutes=0)
    Options(tmp_path, minutes=525_600)


def test_nothing_to_compare_with(tmp_path, options):
    (tmp_path / 'c').mkdir()
    catalogue = create_catalogue(tmp_path / 'c', ANNA, '', 0.05)
    with pytest.raises(InputError, match='has no features yet'):
        identify(catalogue, asked(tmp_path), Animals, options)
    add_photos(catalogue, ANNA, asked(tmp_path), Animals())
    with pytest.raises(InputError, match='no photo with features is identified'):
        identify(catalogue, None, never, options)
    (tmp_path / 'd').mkdir()
    known = make_herd(tmp_path / 'd', 2)
    with pytest.raises(InputError, match='are identified; name other PHOTOS'):
        identify(known, None, never, options)


def test_an_interrupted_call_continues(tmp_path, options, monkeypatch):
    """Its features are kept until the answers are written, and used only for the same photos."""
    catalogue = make_herd(tmp_path, 5)
    monkeypatch.setattr(job, 'html_page', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        identify(catalogue, asked(tmp_path), Animals, options)
    kept = list((tmp_path / 'out').glob('*.part'))
    assert len(kept) == 2
    monkeypatch.setattr(job, 'html_page', lambda *_: 'page')
    silent = Animals()
    result = identify(catalogue, asked(tmp_path), lambda: silent, options)
    assert silent.encoded == [] and len(result.answers) == 4
    assert not any(path.exists() for path in kept)
    identify(catalogue, asked(tmp_path), lambda: silent, options)
    assert len(silent.encoded) == 8


def test_sides_apart(tmp_path):
    """Each photo is compared with photos of its own side only."""
    catalogue = make_herd(tmp_path, 5)
    options = Options(tmp_path / 'out', sides='separate', units='photo')
    result = identify(catalogue, asked(tmp_path), Animals, options)
    assert len(result.answers) == 8
    for answer in result.answers:
        own = result.question.photos[answer.photos[0]].side
        matches = [match for each in answer.candidates for match in each.matches]
        assert {result.gallery.photos[match.row].side for match in matches} == {own}


def test_the_page_has_the_command_that_records_each_answer(tmp_path, options):
    """For photos of the catalogue; for others it says that they must be added first."""
    catalogue = calibrated(tmp_path)
    rename(catalogue, ANNA, 'A00', 'new1')
    rename(catalogue, ANNA, 'new1', 'A00')
    identify(catalogue, asked(tmp_path), Animals, options)
    page = unescape((tmp_path / 'out/identify.html').read_text())
    assert 'catalogue decide' not in page and f'catalogue add {catalogue.folder} PHOTOS' in page
    add_photos(catalogue, ANNA, asked(tmp_path), Animals())
    identify(catalogue, None, never, options)
    page = unescape((tmp_path / 'out/identify.html').read_text())
    commands = re.findall('<code>python -m tools.catalogue decide (.*?)</code>', page)
    assert commands == [
        *(
            f'{catalogue.folder} {name} --photos {n} {n + 1}'
            for name, n in (('A03', 145), ('A11', 147), ('A17', 149))
        ),
        f'{catalogue.folder} new2 --photos 151 152 --new',  # new1 is an alias
    ]


def test_names_are_text_on_the_page_and_one_word_of_its_commands(tmp_path, options):
    evil = '"><img src=x onerror=alert(1)>; echo $(id) \'&'
    catalogue = calibrated(tmp_path)
    add_photos(catalogue, ANNA, animals(tmp_path / 'evil', [evil]), Animals())
    new = animals(tmp_path / 'new', [evil], encounters=(3,), named=False)
    add_photos(catalogue, ANNA, new, Animals())
    (answer,) = identify(catalogue, None, never, options).answers
    assert answer.decision == 'known' and answer.candidates[0].name == evil
    page = (tmp_path / 'out/identify.html').read_text()
    assert '<img src=x' not in page
    assert f'known: {evil}<' in unescape(page) and f'{evil}_3_0.png' in unescape(page)
    (command,) = re.findall('<code>(.*decide.*)</code>', page)
    numbers = [str(photo.id) for photo in catalogue.photos()[-2:]]
    words = shlex.split(unescape(command))
    assert words[3:] == ['decide', str(catalogue.folder), evil, '--photos', *numbers]


def test_names_for_new_animals():
    assert list(islice(free_names(['007', '012', 'Zuri']), 2)) == ['013', '014']
    assert list(islice(free_names(['Zuri', 'new2']), 2)) == ['new1', 'new3']
    assert next(free_names(['9', '10'])) == '11'


@pytest.mark.parametrize('width', [1300, 400])
def test_the_page(tmp_path, options, open_page, width):
    identify(calibrated(tmp_path), asked(tmp_path), Animals, options)
    with open_page(tmp_path / 'out/identify.html', width) as page:
        assert page.locator('.unit').count() == 4 and page.locator('.answer.new').count() == 1
        assert 'known: A' in page.locator('.answer').first.inner_text()
        assert page.locator('.unit img').count() == 4 * (2 + 5)
        assert page.locator('h2').all_inner_texts() == ['Known', 'New']
        page.get_by_text('1 new', exact=True).click()
        assert page.url.endswith('#new')
        assert page.locator('h2 + .unit .answer').all_inner_texts()[1] == 'a new animal'
        assert page.evaluate('document.documentElement.scrollWidth') <= width
