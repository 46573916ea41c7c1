"""What a run's own files say about a model: its network, its start, its training and its data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.clip.architecture import find_architecture
from model.clip.weights import OFFICIAL
from model.hub import is_on_hub
from model.names import START, is_timm
from model.prompt import sentence_for
from processor.results import set_name
from utils.files import sha256_file
from utils.run.provenance import CARD

Facts = dict[str, Any]

CLIP_LICENCE = (
    "OpenAI's repository github.com/openai/CLIP, which publishes the code and the addresses of "
    'the weights, is under the MIT licence. Its model card limits the use: it calls every deployed '
    'use of CLIP out of scope, and does not recommend image search without thorough tests of the '
    'task; read it there (model-card.md).'
)
UNKNOWN_LICENCE = 'Not known here: it depends on who published this file; ask there.'
LICENCES = {  # kind of start -> licence of its weights
    'OpenAI': CLIP_LICENCE,
    'file': UNKNOWN_LICENCE,
    'hub': 'Not known here: see the page of this repository on huggingface.co.',
    'timm': 'Not known here: see the page of these weights on huggingface.co/timm.',
    'random': 'None is needed: random numbers, no weights of others.',
    'checkpoint': 'That of the checkpoint, and of what it started from.',
}


def describe_run(folder: Path, data: Mapping[str, Any] | None = None) -> Facts | None:
    """Describe the training in a folder from its run.json.

    Args:
        folder: The OUTPUT_DIR of the training.
        data: Split -> photos, individuals, sha256; None = run.json's, without the individuals.

    Returns:
        'model', 'start', 'training', 'data'; None without a run.json that can be read.
    """
    try:
        run = json.loads((folder / 'run.json').read_bytes())
        config = run['config']
        data = data or {name: {'individuals': None, **facts} for name, facts in run['data'].items()}
        names = ('version', 'git', 'seed', 'device', 'precision', 'processes', 'torch', 'command')
        return {
            'model': model_facts(config),
            'start': start_facts(config, folder),
            'training': {name: run[name] for name in names}
            | {stage: config[f'SOLVER.{stage}.MAX_EPOCHS'] for stage in ('STAGE1', 'STAGE2')},
            'data': data,
        }
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return None


def describe_config(config: Mapping[str, Any], folder: Path) -> Facts:
    """Describe a model of which only the config of a test is known, like :func:`describe_run`.

    What an unknown training started from is unknown; that TEST.WEIGHT start has none is not.
    """
    start = start_facts(config, folder) if config['TEST.WEIGHT'] == START else None
    return {'model': model_facts(config), 'start': start, 'training': None, 'data': None}


def model_facts(config: Mapping[str, Any]) -> Facts:
    """Return what a flat config says about the network and what it is for."""
    name = config['MODEL.NAME']
    name = name if is_timm(name) else find_architecture(name)[0]
    prompts = config['SOLVER.STAGE1.MAX_EPOCHS'] > 0 or config['MODEL.I2T_LOSS_WEIGHT'] > 0
    return {
        'name': name,
        'for': set_name(config),
        'size': list(config['INPUT.SIZE_TEST']),
        'stride': list(config['MODEL.STRIDE_SIZE']) if name.startswith('ViT') else None,
        'sentence': sentence_for(config['DATASETS.NAMES'], config['MODEL.PROMPT'])
        if prompts
        else None,
        'prompt_start': config.get('MODEL.PROMPT_START', ''),  # not in old runs
        'cameras': config['MODEL.SIE_CAMERA'],
        'views': config['MODEL.SIE_VIEW'],
    }


def start_facts(config: Mapping[str, Any], folder: Path) -> Facts:
    """Return what a training started from.

    Args:
        config: Its flat config.
        folder: Its OUTPUT_DIR.

    Returns:
        'choice' (MODEL.PRETRAIN_CHOICE), 'kind' (of LICENCES), 'path' ('' = OpenAI's or timm's),
        'sha256' (None if unknown), 'licence', and 'earlier': the start of the checkpoint that the
        training started from, None if there is none or its folder has no card.
    """
    choice, path = config['MODEL.PRETRAIN_CHOICE'], config['MODEL.PRETRAIN_PATH']
    sha256 = sha256_file(path) if Path(path).is_file() else None
    kind, earlier = 'file', None
    if choice == 'random':
        kind, path, sha256 = 'random', '', None
    elif choice in ('self', 'finetune'):
        kind, earlier = 'checkpoint', _start_of(Path(path), folder)
    elif not path and is_timm(config['MODEL.NAME']):
        kind = 'timm'
    elif not path:
        kind, sha256 = 'OpenAI', OFFICIAL[find_architecture(config['MODEL.NAME'])[0]]
    elif sha256 in OFFICIAL.values():
        kind = 'OpenAI'
    elif is_on_hub(path):
        kind = 'hub'
    facts = {'choice': choice, 'kind': kind, 'path': path, 'sha256': sha256}
    return facts | {'licence': LICENCES[kind], 'earlier': earlier}


def _start_of(checkpoint: Path, folder: Path) -> Facts | None:
    """Return the start that the card beside a checkpoint names; None without one.

    The card in the run's own ``folder`` is that of this run, not of the checkpoint.
    """
    if checkpoint.parent.resolve() == folder.resolve():
        return None
    try:
        return json.loads((checkpoint.parent / CARD).read_bytes())['start']
    except (OSError, ValueError, TypeError, LookupError):
        return None
