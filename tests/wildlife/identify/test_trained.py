"""Which individuals of a catalogue its model has seen."""

import shutil

import pytest
import yaml

from tests.helpers import toy_config
from tests.wildlife.catalogue.worlds import ANNA
from tests.wildlife.identify.catalogues import Animals, herd, make_herd
from utils.errors import InputError
from wildlife.catalogue.edit import rename
from wildlife.identify.trained import usable_individuals


@pytest.fixture
def catalogue(tmp_path):
    """Eight individuals; the model was trained on A00 (these files), A01 (copies) and others."""
    encoder = Animals()
    encoder.facts.config['TEST.WEIGHT'] = str(tmp_path / 'run/model.pth')
    catalogue = make_herd(tmp_path, 8, encoder)
    (tmp_path / 'run').mkdir()
    write_lists(tmp_path, tmp_path / 'run/config.yml')
    return catalogue


def write_lists(folder, yml):
    (folder / 'copies').mkdir()
    shutil.copy(folder / 'photos/A01_2_1.png', folder / 'copies/x.png')
    lines = ['photos/A00_0_0.png 0', 'photos/A00_1_1.png 0', 'copies/x.png 1']
    values = toy_config(folder, 'RN50', 'none.pth')
    values['DATASETS'] |= {'DATA_DIR': '', 'LIST_DIR': str(folder), 'VAL_LIST': ''}
    (folder / 'train.txt').write_text('\n'.join(lines) + '\n')
    yml.write_text(yaml.safe_dump(values))


def test_by_the_lists_beside_the_weights(catalogue, tmp_path):
    found = usable_individuals(catalogue)
    assert found.names == herd(6, 2) and found.trained == 2
    assert found.source == f'the train and validation lists of {tmp_path / "run/config.yml"}'


def test_by_another_yml(catalogue, tmp_path):
    (tmp_path / 'run/config.yml').rename(tmp_path / 'other.yml')
    with pytest.raises(
        InputError, match='run/config.yml: there is no such file, so it is not known'
    ):
        usable_individuals(catalogue)
    assert usable_individuals(catalogue, str(tmp_path / 'other.yml')).names == herd(6, 2)


def test_starting_weights_have_seen_none(tmp_path):
    assert usable_individuals(make_herd(tmp_path, 3)).names == herd(3)


def test_names_of_a_file(catalogue, tmp_path):
    """By names or aliases, each once."""
    assert usable_individuals(catalogue, chosen='all').names == herd(8)
    rename(catalogue, ANNA, 'A03', 'Zuri')
    file = tmp_path / 'names.txt'
    file.write_text('Zuri\n A05 \n\nA03\n')
    found = usable_individuals(catalogue, chosen=str(file))
    assert found.names == ['Zuri', 'A05'] and found.trained == 6
    file.write_text('A05\nZurri\n')
    with pytest.raises(InputError, match="no individual is called 'Zurri'; did you mean Zuri?"):
        usable_individuals(catalogue, chosen=str(file))
    file.write_text('\n')
    with pytest.raises(InputError, match='it has no names'):
        usable_individuals(catalogue, chosen=str(file))
    with pytest.raises(InputError, match='cannot be read as text'):
        usable_individuals(catalogue, chosen=str(tmp_path))
