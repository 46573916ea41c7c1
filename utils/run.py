"""What a run was: written beside its results, so that a number can be traced to code, config, seed and machine."""
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from utils import __version__
from utils.files import atomic_write, keep_earlier, write_json
from utils.runtime import device_text

LIBRARIES = ('torch', 'numpy', 'Pillow', 'safetensors', 'yacs', 'PyYAML', 'ftfy', 'regex')


def describe_run(cfg, runtime):
    """A dict for JSON: version, git state, libraries, device, precision, processes, seed, command."""
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    return {
        'version': __version__, 'git': git_state(), 'command': sys.argv, 'seed': cfg.SOLVER.SEED,
        'device': device_text(runtime.device), 'precision': runtime.precision, 'processes': runtime.processes.world_size,
        'python': platform.python_version(), **libraries, 'machine': platform.platform(),
    }


def log_run(cfg, runtime, logger):
    """Log the merged config and the machine; return :func:`describe_run`."""
    run = describe_run(cfg, runtime)
    logger.info('Running with config:\n%s', cfg)
    logger.info('CLIP-ReID for animals %s, git %s, torch %s, device %s, precision %s, seed %d', run['version'],
                run['git'], run['torch'], run['device'], run['precision'], run['seed'])
    return run


def save_run(cfg, run, folder, resumed=False):
    """``config.yml`` and ``run.json``; earlier ones are kept, and so is the best checkpoint of another run."""
    folder = Path(folder)
    best = () if resumed else (path for path in folder.glob('*_best.*') if path.suffix in ('.pth', '.safetensors'))
    for earlier in (folder / 'config.yml', folder / 'run.json', *best):
        keep_earlier(earlier)
    with atomic_write(folder / 'config.yml') as file:
        file.write(cfg.dump())
    write_json(folder / 'run.json', run)


def git_state():
    """Commit of this code, '+changes' behind it if files differ; 'unknown' outside a checkout."""
    def git(*words):
        return subprocess.run(['git', '-C', Path(__file__).parent, *words], capture_output=True, encoding='utf-8',
                              errors='replace', check=True, timeout=10).stdout.strip()
    try:
        return git('rev-parse', 'HEAD') + ('+changes' if git('status', '--porcelain') else '')
    except (OSError, subprocess.SubprocessError):
        return 'unknown'
