"""Keep a catalogue of individuals: their photos, features and all decisions.

    python -m tools.catalogue create nyala --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth
    python -m tools.catalogue add nyala new_photos --detections detections.json
    python -m tools.catalogue list nyala
    python -m tools.catalogue merge nyala Zuri Nala
    python -m tools.catalogue undo nyala

The catalogue is a folder with one SQLite file and a folder of features. Photos stay where they are.
``add`` reads the same sources as make_lists: a folder, a .csv or .tsv, COCO, Camtrap DP, or the
.json of MegaDetector, SpeciesNet or AddaxAI. Folders name individuals only with --identity-level.
--config_file gives the first model; after that it is stored in the catalogue. The journal (list
--journal) has every change, and undo takes one back. If a command is killed, the catalogue stays as
it was before the command.

Exit codes: 0; 1 = verify found damage; 2 = bad input, nothing was changed.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.catalogue.command_line import PHOTO_COMMANDS, parse


def main(argv: Sequence[str] | None = None) -> bool:
    """Run a command, print its result, and return whether all is well.

    Raises:
        InputError: The catalogue, the photos or the options are not suitable.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)

    # Not at the top: --help should not wait for the database, nor a list of names for torch.
    from utils.logger import setup_logger
    from wildlife.catalogue.journal import Author

    if args.command in PHOTO_COMMANDS:
        from wildlife.catalogue.commands_photos import run
    else:
        from wildlife.catalogue.commands import run

    setup_logger()
    text, is_well = run(args, Author(args.by, 'tools.catalogue'))
    print(text)
    return is_well


def program(argv: Sequence[str] | None = None) -> int:
    """Run ``main`` as a command; return its exit code."""
    results: list[bool] = []
    code = exit_code(lambda: results.append(main(argv)), ConfigError)
    return code or int(not results[0])


if __name__ == '__main__':
    sys.exit(program())
