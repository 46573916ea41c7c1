"""What a run was: written beside its results, so that a number can be traced to code, config, seed
and machine.
"""

import contextlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from utils import __version__
from utils.device import device_text
from utils.errors import Mismatch
from utils.files import atomic_write, keep_earlier, write_json
from utils.linear import products_text

CONFIG = 'config.yml'  # in OUTPUT_DIR, beside the checkpoints
LIBRARIES = ('torch', 'numpy', 'Pillow', 'safetensors', 'yacs', 'PyYAML', 'ftfy', 'regex')


def describe_run(cfg, runtime):
    """A dict for JSON: version, git state, libraries, device, precision, processes, seed,
    command.
    """
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    return {
        'version': __version__,
        'git': git_state(),
        'command': sys.argv,
        'seed': cfg.SOLVER.SEED,
        'device': device_text(runtime.device),
        'precision': runtime.precision,
        'processes': runtime.processes.world_size,
        'python': platform.python_version(),
        **libraries,
        'machine': platform.platform(),
    }


def log_run(cfg, runtime, logger):
    """Log the merged config and the machine; return :func:`describe_run`."""
    run = describe_run(cfg, runtime)
    logger.info('Running with config:\n%s', cfg)
    logger.info(
        'CLIP-ReID for animals %s, git %s, torch %s, device %s, precision %s, seed %d',
        run['version'],
        run['git'],
        run['torch'],
        run['device'],
        run['precision'],
        run['seed'],
    )
    if runtime.device.type == 'cpu':
        logger.info('Float32 products: %s', products_text())
    return run


def save_run(cfg, run, folder, resumed=False):
    """``config.yml`` and ``run.json``; earlier ones are kept, and so is the best checkpoint of
    another run.
    """
    folder = Path(folder)
    best = (
        ()
        if resumed
        else (path for path in folder.glob('*_best.*') if path.suffix in ('.pth', '.safetensors'))
    )
    for earlier in (folder / CONFIG, folder / 'run.json', *best):
        keep_earlier(earlier)
    with atomic_write(folder / CONFIG) as file:
        file.write(cfg.dump())
    write_json(folder / 'run.json', run)


@contextlib.contextmanager
def naming_its_config(checkpoint: str, key: str = '') -> Iterator[None]:
    """A ``Mismatch`` in this block says where the config of the checkpoint's run is, if it lies
    beside it.

    key: the config key that reads the checkpoint, where the whole config may be taken as it is: the
    command too.
    """
    try:
        yield
    except Mismatch as error:
        config = Path(checkpoint).with_name(CONFIG)
        if not config.is_file():
            raise
        remedy = f'the config of its run is {config}'
        if key:
            words = ['--config_file', str(config), key, str(checkpoint)]
            with contextlib.suppress(OSError):
                if 'DIST_TRAIN: true' in config.read_text(encoding='utf-8', errors='replace'):
                    words += ['MODEL.DIST_TRAIN', 'False']  # trained by torchrun, tested without
            remedy = f'or take the config of its run: {shlex.join(words)}'
        raise Mismatch(f'{error}; {remedy}') from None


def git_state():
    """Commit of this code, '+changes' behind it if files differ; 'unknown' outside a checkout."""

    def git(*words):
        return subprocess.run(
            ['git', '-C', Path(__file__).parent, *words],
            capture_output=True,
            encoding='utf-8',
            errors='replace',
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        return git('rev-parse', 'HEAD') + ('+changes' if git('status', '--porcelain') else '')
    except (OSError, subprocess.SubprocessError):
        return 'unknown'
