"""Records the code, config, seed and machine of a run beside its results."""

import contextlib
import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from utils import __version__
from utils.device import Runtime, device_text
from utils.errors import Mismatch
from utils.files import atomic_write, keep_earlier, write_json
from utils.linear import products_text
from utils.logger import FILE_ONLY

CONFIG = 'config.yml'  # in OUTPUT_DIR, beside the checkpoints
CARD, CARD_TEXT = 'card.json', 'card.md'  # what the checkpoints are, see wildlife.report.card
LIBRARIES = ('torch', 'timm', 'numpy', 'Pillow', 'safetensors', 'yacs', 'PyYAML', 'ftfy', 'regex')


def log_run(cfg: CfgNode, runtime: Runtime, logger: logging.Logger) -> dict[str, Any]:
    """Log the merged config, to the log file alone, and the machine.

    Returns:
        Code version, libraries, device, precision, processes, seed and command; for JSON.
    """
    logger.info('Running with config:\n%s', cfg, extra=FILE_ONLY)
    run = {
        'version': __version__,
        'git': git_state(),
        'command': sys.argv,
        'seed': cfg.SOLVER.SEED,
        'device': device_text(runtime.device),
        'precision': runtime.precision,
        'processes': runtime.processes.world_size,
        'python': platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
        'machine': platform.platform(),
    }
    logger.info(
        'CLIP-ReID for animals %(version)s, git %(git)s, torch %(torch)s, device %(device)s, '
        'precision %(precision)s, seed %(seed)d',
        run,
    )
    if runtime.device.type == 'cpu':
        logger.info('Float32 products: %s', products_text())
    return run


def save_run(cfg: CfgNode, run: dict[str, Any], folder: Path, resumed: bool) -> None:
    """Write config.yml and run.json.

    Earlier files of these names are kept under a number, and so are another run's best checkpoint
    and its card.
    """
    earlier = [folder / CONFIG, folder / 'run.json']
    if not resumed:
        best = sorted(folder.glob('*_best.*'))
        earlier += [folder / CARD, folder / CARD_TEXT]
        earlier += [path for path in best if path.suffix in ('.pth', '.safetensors')]
    for path in earlier:
        keep_earlier(path)
    with atomic_write(folder / CONFIG) as file:
        file.write(cfg.dump())
    write_json(folder / 'run.json', run)


@contextlib.contextmanager
def naming_its_config(checkpoint: str, key: str = '') -> Iterator[None]:
    """Add the config of the checkpoint's run to a ``Mismatch`` raised within the ``with`` block.

    Args:
        checkpoint: The checkpoint; config.yml is expected beside it.
        key: Config key that reads the checkpoint. The message then also gives the command that
            uses the whole config of that run. '' if that config does not suit this run.
    """
    try:
        yield
    except Mismatch as error:
        config = Path(checkpoint).with_name(CONFIG)
        if not config.is_file():
            raise
        remedy = f'the config of its run is {config}'
        if key:
            words = config_words(config, key, checkpoint)
            remedy = f'or use the config of its run: {shlex.join(words)}'
        raise Mismatch(f'{error}; {remedy}') from None


def config_words(config: Path, *pairs: str | Path) -> list[str]:
    """Return the words of a command that uses the ``config`` of a run, in a single process.

    Args:
        config: The existing config.yml.
        pairs: Key, value, key … that follow it.
    """
    words = ['--config_file', str(config), *map(str, pairs)]
    if 'DIST_TRAIN: true' in config.read_text(encoding='utf-8', errors='replace'):
        words += ['MODEL.DIST_TRAIN', 'False']  # trained by torchrun, used without
    return words


def git_state() -> str:
    """Return the commit of this code, followed by '+changes' if files differ or are new.

    Outside a git checkout it is 'unknown'.
    """
    git = ['git', '-C', str(Path(__file__).parent)]
    try:
        commit = subprocess.check_output(
            [*git, 'rev-parse', 'HEAD'], stderr=subprocess.DEVNULL, timeout=10
        )
        changes = subprocess.check_output([*git, 'status', '--porcelain'], timeout=10)
    except (OSError, subprocess.SubprocessError):
        return 'unknown'
    return commit.decode().strip() + ('+changes' if changes else '')
