"""Remove the background of photos, for the ymls without _ori: python -m tools.remove_background SRC
DST

    python -m tools.remove_background ../data/Animal-2 ../data/Animal-Seg-V3
    python -m tools.remove_background ../data/tiger/test_original ../data/tiger/tiger_test_isnet_seg

Every photo below SRC becomes one of the same relative name, size and format below DST, its
background black: found by rembg's ISNet (pip install -r requirements-extras.txt), or by masks of
one's own (--masks FOLDER, the same relative names). That the published photos are black there is
our guess; that ISNet found it is in their folders' names. Photos are taken as the training
reads them: as stored, EXIF rotation not applied; they are written without EXIF. JPEG stays JPEG, of
quality 95.

What is there is kept, so a run that was stopped goes on with the same command; a photo is done
again where SRC has a newer one or one of another size, or the mask is newer. Where a mask is empty
nothing would be left of the photo: it keeps its background. Such photos, and those with hardly any
background, are counted, and named in DST/summary.json. So are photos that cannot be
read: the others are done, and the exit code is 2. Look at DST/contact_sheet.png before training.
"""

import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from utils.errors import exit_code
from wildlife.background.command_line import parse
from wildlife.background.remove import remove_backgrounds, report_problems


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Remove the backgrounds; return 'written' and 'kept', and 'suspicious' of the summary.

    Raises:
        InputError: once all others are done, where photos cannot be read or have no mask.
    """
    job = parse(argv)
    done = remove_backgrounds(job)
    print(f'{job.dst}: {done.written} photos written, {done.kept} were there; look at {job.sheet}')
    report_problems(job, done)
    return {'written': done.written, 'kept': done.kept, 'suspicious': done.summary.suspicious}


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
