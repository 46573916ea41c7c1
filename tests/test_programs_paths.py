"""Every program: ~ in paths."""

import argparse
import shutil

import pytest

from tests.helpers import ROOT
from tests.programs import PATHS, PROGRAMS, main_of, with_paths


@pytest.mark.parametrize('name', PROGRAMS)
def test_the_home_in_every_option_that_is_a_path(name, monkeypatch, tmp_path, capsys):
    """Shells expand ~ at the start of a word, in --out=~/x most do not."""
    monkeypatch.setenv('HOME', str(tmp_path))
    names = {option.removeprefix('--').replace('-', '_') for option in PATHS[name].split()}

    class Parsed(Exception):
        """Ends the program once its command line is read."""

    for method in ('parse_known_args', 'parse_known_intermixed_args'):
        real = getattr(argparse.ArgumentParser, method)

        def parse(parser, *arguments, real=real):
            args, rest = real(parser, *arguments)
            if names <= vars(args).keys():
                raise Parsed(vars(args))
            return args, rest

        monkeypatch.setattr(argparse.ArgumentParser, method, parse)
    with pytest.raises(Parsed) as caught:
        main_of(name)(with_paths(name, '~/x y'))
    found = {option: caught.value.args[0][option] for option in names}
    assert {
        option: str(value[0] if isinstance(value, list) else value)
        for option, value in found.items()
    } == dict.fromkeys(names, f'{tmp_path}/x y')
    with pytest.raises(SystemExit) as caught:
        main_of(name)(with_paths(name, '~nobody_is_called_so/x'))
    assert caught.value.code == 2
    assert (
        "there is no home folder for ~nobody_is_called_so in '~nobody_is_called_so/x'"
        in capsys.readouterr().err
    )


def test_no_option_is_a_path_by_pathlib_alone():
    for path in [
        *ROOT.glob('*.py'),
        *(ROOT / 'tools').rglob('*.py'),
        *(ROOT / 'benchmarks').rglob('*.py'),
    ]:
        assert 'type=Path' not in path.read_text(encoding='utf-8'), path


def test_a_run_below_the_home(world, monkeypatch, tmp_path_factory):
    """Trained, tested and resumed: nothing is a folder named ~, and the second command resumes
    the first one's run.
    """
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv('HOME', str(world.folder))
    shutil.copy(world.weights['RN50'], world.folder / 'clip.pth')
    text = (
        (ROOT / world.yml())
        .read_text(encoding='utf-8')
        .replace(world.weights['RN50'], '~/clip.pth')
    )
    yml = world.folder / 'home.yml'
    yml.write_text(
        text.replace(f'{world.folder}/', '~/').replace(f'{world.folder}\n', '~/\n'),
        encoding='utf-8',
    )
    short = [
        '--config_file=~/home.yml',
        '--resume',
        'SOLVER.STAGE1.MAX_EPOCHS',
        '1',
        'SOLVER.STAGE2.MAX_EPOCHS',
        '1',
    ]
    best = main_of('train_clipreid')(short)
    assert best > 0 and main_of('train_clipreid')(short) == best
    assert not (world.output / 'train_log.1.txt').exists()
    assert main_of('train_clipreid')([*short, 'OUTPUT_DIR', str(world.output)]) == best
    assert (
        main_of('test_clipreid')(
            ['--config_file=~/home.yml', 'TEST.WEIGHT', '~/output/RN50_1.pth']
        )['mAP']
        > 0
    )
    assert not any(elsewhere.iterdir()) and str(world.folder) in (
        world.output / 'config.yml'
    ).read_text(encoding='utf-8')
