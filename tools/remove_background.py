"""Remove the background of photos, for the ymls without _ori.

    python -m tools.remove_background SRC DST

    python -m tools.remove_background ../data/Animal-2 ../data/Animal-Seg-V3
    python -m tools.remove_background ../data/tiger/test_original ../data/tiger/tiger_test_isnet_seg

Writes each photo below SRC with a black background below DST, with the same relative name, size
and format. The animals are found by ISNet of rembg (pip install -r requirements-extras.txt), or
given by your own masks (--masks FOLDER, which have the relative names of the photos). The folder
names of the published photos say that ISNet was used there; that their background is black is our
assumption. Photos are read as in training, without EXIF rotation, and written without EXIF data.
JPEG files stay JPEG, with quality 95. --save-masks FOLDER keeps the masks, for tools.diagnose.

To resume an interrupted run, repeat the command: existing results are kept. A photo is processed
again if its size differs from that of the result, or if it or its mask is newer than the result. A
photo with an empty mask keeps its background, because nothing else would be left. Such photos, and
those with hardly any background, are counted and listed in DST/summary.json. Unreadable photos are
listed there too; the others are processed, and the exit code is 2. Look at DST/contact_sheet.png
before training.
"""

import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from utils.errors import exit_code
from wildlife.background.command_line import parse
from wildlife.background.remove import remove_backgrounds, report_problems


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Remove the backgrounds.

    Returns:
        The numbers 'written' and 'kept', and 'suspicious' of the summary.

    Raises:
        InputError: If the run cannot start; or at its end, if photos were unreadable or no mask
            was found for them.
    """
    job = parse(argv)
    done = remove_backgrounds(job)
    print(f'{job.dst}: {done.written} photos written, {done.kept} kept; look at {job.sheet}')
    report_problems(job, done)
    return {'written': done.written, 'kept': done.kept, 'suspicious': done.summary.suspicious}


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
