"""Does the model cheat? Examine what it looks at, and which photos it finds.

    python -m tools.diagnose --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth --masks masks/nyala

Says in words, with intervals, whether the background alone is enough to find animals (needs masks,
which are read as by tools.remove_background: relative names of the photos below
DATASETS.TEST_ROOT_DIR), how much frames of one encounter flatter, whether a photo and its mirror
image are the same to the model, whether animals are found by their other flank, and whether size,
brightness, contrast and blur matter. Writes to DIR (--out), where earlier files are kept and
numbered:

    diagnosis.html   the findings in words, with tables, curves and pictures
    diagnosis.json   all figures
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text, path_value
from utils.errors import exit_code
from utils.files import make_output_dir


def main(argv: Sequence[str] | None = None) -> Path:
    """Examine the model of TEST.WEIGHT, print the findings, and return the path of the page.

    Raises:
        InputError: Photos, masks, lists or weights cannot be read, or DIR cannot be written.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)
    folder = args.out or Path(cfg.OUTPUT_DIR, 'diagnosis')

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from utils.run.session import evaluation_session
    from wildlife.diagnosis.diagnose import diagnose
    from wildlife.diagnosis.write import PAGE, write_diagnosis

    with evaluation_session(resolve_inputs(cfg), 'diagnosis') as run:
        make_output_dir(folder, '--out')
        found = diagnose(run, args.masks, args.resize_masks)
        if found:
            write_diagnosis(run, found, folder)
            for finding in found.findings:
                print(f'{finding.topic}: {finding.verdict}. {finding.text}')
            if found.reason:
                print(f'No intervals: {found.reason}')
            print(f'Page: {folder / PAGE}')
    return folder / PAGE


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.diagnose',
        description='Does the model cheat? What it looks at, and which photos it finds.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file of the training or test')
    text = 'folder of masks with the relative names of the photos, as for tools.remove_background'
    add('--masks', metavar='DIR', type=path_value, help=text)
    add('--resize-masks', action='store_true', help='resize masks to the size of their photos')
    text = 'folder for the results (default: OUTPUT_DIR/diagnosis)'
    add('--out', metavar='DIR', type=path_value, help=text)
    return parse_with_pairs(parser, argv)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
