"""Calibration of a catalogue: which photos, which pairs, and what is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.wildlife.catalogue.worlds import ANNA
from tests.wildlife.identify.catalogues import Animals, animals, herd, make_herd
from utils.errors import InputError
from wildlife.catalogue.add import add_photos, encode_photos
from wildlife.catalogue.calibrations import save_calibration
from wildlife.catalogue.create import create_catalogue
from wildlife.catalogue.edit import merge
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos
from wildlife.identify import calibrating
from wildlife.identify.calibrating import calibrate, fingerprint, material_of, own_table
from wildlife.identify.calibration import HeldOutErrors
from wildlife.identify.calibration_file import as_json
from wildlife.identify.calibration_report import draw_picture, quality_lines
from wildlife.identify.kept import kept_calibrator, rule_of, trust_lines


@pytest.fixture
def catalogue(tmp_path):
    return make_herd(tmp_path)


def test_pairs_of_one_encounter_are_not_compared(catalogue):
    features = catalogue.features()
    material = material_of(features, herd(24))
    table = own_table(features, material)
    assert table.scores.shape == (144, 24) and table.known.all()
    photos, names = material.photos, material.gallery.names
    vectors = features.of(photos)
    for row in (0, 71, 143):
        for column, name in enumerate(names):
            expected = max(
                float(vectors[row] @ vectors[other])
                for other, photo in enumerate(photos)
                if photo.individual == name and photo.encounter != photos[row].encounter
            )
            assert table.scores[row, column] == pytest.approx(expected, abs=1e-6)


def test_what_is_kept(catalogue, tmp_path):
    """Skilled features: probabilities are good, N and data are noted, and it is read again."""
    features, model = catalogue.features(), catalogue.model()
    made = calibrate(features, model, material_of(features, herd(24)), draws=50)
    facts = made.facts
    assert (facts['individuals'], facts['repeated'], facts['photos']) == (24, 24, 144)
    assert facts['catalogue'] == 23 and facts['model_sha256'] == 'a' * 64
    assert facts['data'] == fingerprint(catalogue.photos())
    for name in ('encounter', 'individual', 'sha256', 'box'):
        changed = [
            replace(photo, **{name: (0, 0, 1, 1) if name == 'box' else 'x'})
            for photo in catalogue.photos()
        ]
        assert fingerprint(changed) != facts['data']
    values = facts['open_set']['values']
    assert values['AUROC'] > 0.9 and facts['right']['values']['ECE'] < 0.1
    assert [len(each.new_scores) for each in made.errors] == [144, 72]  # photos and encounters
    save_calibration(catalogue, ANNA, as_json(made))
    again, reason = kept_calibrator(catalogue)
    assert reason == '' and json.dumps(as_json(again)) == json.dumps(as_json(made))
    said = '\n'.join(quality_lines(made))
    assert 'These weights tell new animals from known ones' in said
    assert '--false-match-rate can be 0.014 or more' in said
    draw_picture(tmp_path / 'r.png', facts)
    assert (tmp_path / 'r.png').read_bytes().startswith(b'\x89PNG')
    assert rule_of(made, 0.05).accept == made.thresholds(0.05)[0]
    with pytest.raises(InputError, match='rates that these data allow: from 0.014 to 1'):
        rule_of(made, 0.01)
    for rate in (0, -1, 2, float('nan')):
        with pytest.raises(InputError, match='--false-match-rate'):
            rule_of(made, rate)


def test_weights_without_skill_say_so(tmp_path):
    catalogue = make_herd(tmp_path, 26, Animals(skill=0.0))
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(26)), draws=50)
    assert 'These weights cannot tell new animals from known ones' in '\n'.join(quality_lines(made))
    assert any('cannot tell' in line for line in trust_lines(made, 26, 'together'))
    assert rule_of(made, 0.05).reject == 1.0  # nothing is called new


def test_growth_is_said(catalogue):
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(24)), draws=0)
    assert (
        'The catalogue had 23 individuals then; now it has 24.'
        in trust_lines(made, 24, 'together')[0]
    )
    share = f'{100 * made.share:.0f} % of the animals are known'
    assert share in trust_lines(made, 24, 'together')[0] and 0.3 < made.share < 0.5
    assert not any('grown' in line for line in trust_lines(made, 24, 'together'))
    assert any('grown from 23 to 40' in line for line in trust_lines(made, 40, 'together'))


def test_sides_apart(catalogue):
    """Only photos of one side are compared, and another way to compare is told."""
    features = catalogue.features()
    material = material_of(features, herd(24))
    table, photos = own_table(features, material, sides=True), material.photos
    vectors = features.of(photos)
    expected = max(
        float(vectors[5] @ vectors[other])
        for other, photo in enumerate(photos)
        if photo.individual == 'A07' and photo.side == photos[5].side
    )
    assert table.scores[5, 7] == pytest.approx(expected, abs=1e-6)
    made = calibrate(features, catalogue.model(), material, 0, 'separate')
    assert not any('--sides' in line for line in trust_lines(made, 24, 'separate'))
    said = trust_lines(made, 24, 'together')[1]
    assert 'calibrated with --sides separate' in said and 'calibrate with --sides together' in said


def test_the_usual_rate_is_one_that_the_data_allow(catalogue):
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(24)), 0)
    assert rule_of(made, None).rate == 0.014  # of 72 encounters, rounded up
    many = replace(made, errors=(HeldOutErrors(np.linspace(0, 1, 300), np.linspace(0, 1, 300)),))
    assert rule_of(many, None).rate == 0.01


def test_another_model_is_not_calibrated(catalogue):
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(24)), draws=0)
    assert 'the catalogue is not calibrated' in kept_calibrator(catalogue)[1]
    save_calibration(catalogue, ANNA, as_json(made))
    encode_photos(catalogue, ANNA, Animals('b'))
    found, reason = kept_calibrator(catalogue)
    assert found is None and 'is calibrated for another model' in reason


def test_a_damaged_calibration(catalogue):
    features = catalogue.features()
    made = calibrate(features, catalogue.model(), material_of(features, herd(24)), draws=0)
    content = as_json(made)
    changes = {
        'has format 99': {'format': 99},
        'has format 1,': {'format': 1, 'errors': {}},
        r'is damaged \(TypeError\)': {'right': 3},
        r'is damaged \(ValueError\)': {'facts': {'date': '2026-11-28'}},
    }
    for message, change in changes.items():
        save_calibration(catalogue, ANNA, content | change)
        with pytest.raises(InputError, match=f'{message}.*calibrate again: python -m tools'):
            kept_calibrator(catalogue)


def test_too_few(tmp_path):
    """Also too few that the model was not trained on."""
    few = make_herd(tmp_path, 21)
    with pytest.raises(InputError, match='^19 individuals with two encounters.*but 20 are needed'):
        material_of(few.features(), herd(19))
    assert material_of(few.features(), herd(20)).repeated == 20
    add_photos(few, ANNA, animals(tmp_path / 'once', ['B00'], encounters=(0,)), Animals())
    merge(few, ANNA, 'A00', 'A01')
    merge(few, ANNA, 'A02', 'A03')
    names = [each.name for each in few.individuals()]
    with pytest.raises(InputError, match='^19 individuals with two encounters'):
        material_of(few.features(), names)


def without_encounters(new):
    plain = [NewPhoto(photo.path, individual=photo.individual) for photo in new.photos]
    return NewPhotos(plain, 'a folder', [], [])


def test_photos_without_encounters(catalogue, tmp_path):
    """They are not used."""
    new = animals(tmp_path / 'more', ['A00', 'A01'])
    add_photos(catalogue, ANNA, without_encounters(new), Animals())
    material = material_of(catalogue.features(), herd(24))
    assert material.skipped == 12 and len(material.photos) == 144
    assert int(material.gallery.counts.sum()) == 144


def test_no_encounter(tmp_path):
    (tmp_path / 'c').mkdir()
    catalogue = create_catalogue(tmp_path / 'c', ANNA, '', 0.05)
    add_photos(catalogue, ANNA, without_encounters(animals(tmp_path / 'p', herd(3))), Animals())
    with pytest.raises(InputError, match='no encounter of an identified photo is known'):
        material_of(catalogue.features(), herd(3))


def test_of_very_many_photos_encounters_are_drawn(catalogue, monkeypatch):
    monkeypatch.setattr(calibrating, 'PAIRS', 24 * 60)
    material = material_of(catalogue.features(), herd(24))
    assert len(material.photos) == 60 and material.drawn == 144
    assert [photo.id for photo in material.photos] != list(range(1, 61))
    whole = [photo.encounter for photo in material.photos]
    assert sum(whole.count(name) == 2 for name in set(whole)) >= 29
    assert np.array_equal(np.unique(material.encounters), np.arange(len(set(whole))))
