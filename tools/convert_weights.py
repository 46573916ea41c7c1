"""Convert weights of another program to the names of the library timm.

    python -m tools.convert_weights efficientnet-lite0-57934424.pth weights/lite0.safetensors
    --timm tf_efficientnet_lite0

The two networks must have been built in the same order: tensors correspond one by one, and their
shapes are compared. The result is loaded before the file gets its name. Use it with
MODEL.NAME timm:NAME and MODEL.PRETRAIN_PATH.
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import path_text
from utils.errors import exit_code
from utils.logger import setup_logger


def main(argv: Sequence[str] | None = None) -> dict[str, int]:
    """Convert, print what was done, and return it; see ``model.timm_convert.convert_weights``.

    Raises:
        InputError: The weights cannot be read or converted.
    """
    args = parse(argv)
    # not at the top: timm takes seconds to import, and --help should not have to wait for it
    from model.timm_convert import convert_weights

    setup_logger()
    done = convert_weights(args.source, args.target, args.timm, args.prefix)
    print(
        f'{args.target}: {done["tensors"]} tensors, {done["renamed"]} of them renamed; the network '
        f'loads them and gives features of length {done["feature"]}. Use it with\n'
        f'MODEL.NAME timm:{args.timm.removeprefix("timm:")} MODEL.PRETRAIN_PATH {args.target}'
    )
    return done


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.convert_weights',
        description="Convert weights of another program to timm's names, by the order of tensors.",
    )
    add = parser.add_argument
    add('source', type=path_text, help='state dict to read: .pth, .pt, .bin or .safetensors')
    add('target', type=path_text, help='file to write; it ends in .safetensors')
    add('--timm', required=True, metavar='NAME', help="timm's name of the same network")
    add(
        '--prefix',
        default='',
        help="use only tensors whose names begin so, such as 'backbone.' (default: all)",
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(exit_code(main))
