"""How to use a checkpoint, and what its tests do not say: the last parts of a card."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.protocols import PROTOCOLS
from model.names import START
from utils.run.journal import STATE
from utils.run.provenance import CONFIG, config_words
from wildlife.words import counted

TRAIN = ('python', 'train_clipreid.py')
FIXED_LIMITS = (
    'The tests are closed: each query is compared with a gallery that shows known individuals. '
    'They do not say how often an animal that is not in the gallery is recognised as new.',
    'A distance, or a threshold that was chosen on distances, is only valid for the checkpoint it '
    'was chosen with. It does not carry over to another checkpoint, nor to re-ranked distances.',
    'The validation during training looks for the training individuals; it is no test on others.',
    'An interval says how the metric would vary with other query individuals. The gallery, the '
    'training and its seed are fixed: with others, the metric would vary more.',
    'The licence of the photos is not known to this program; ask their owner before you pass on '
    'the checkpoint or photos.',
)
APART = ('encounter', 'sequence')  # RankingRules.ignore that removes frames of one passage


def commands(folder: Path, card: Mapping[str, Any], config_file: str | None) -> list[dict]:
    """Return the commands that use the best checkpoint of a card; [] if there is none.

    Args:
        folder: The folder of the checkpoints.
        card: The card, with its checkpoints, tests and training.
        config_file: The yml of the newest test, used where the folder has no config.yml.

    Returns:
        'purpose' and 'command' (for a POSIX shell).
    """
    best, config = best_checkpoint(card), folder / CONFIG
    if best is None or not (config.is_file() or config_file):
        return []
    if not config.is_file():
        config = Path(config_file or '')
    words = config_words(config, 'TEST.WEIGHT', folder / best)
    found = {
        'Test it': ['python', 'test_clipreid.py', *words],
        'Name the animals of new photos': [
            *('python', '-m', 'tools.rank_photos', '--photos', 'NEW_PHOTOS', *words),
        ],
    }
    start = ('MODEL.PRETRAIN_CHOICE', 'finetune', 'MODEL.PRETRAIN_PATH', folder / best)
    lists = ('DATASETS.LIST_DIR', 'NEW_LISTS', 'DATASETS.ROOT_DIR', 'NEW_ROOT')
    again = config_words(config, *start, *lists, 'OUTPUT_DIR', 'NEW_OUTPUT')
    found['Train further, on other individuals'] = [*TRAIN, *again]
    if card['training'] and (folder / STATE).is_file():
        found['Resume the training, or check that it is finished'] = resume_words(
            config, card['training']['processes']
        )
    return [{'purpose': name, 'command': shlex.join(words)} for name, words in found.items()]


def resume_words(config: Path, processes: int) -> list[str]:
    """Return the command that resumes a training of so many processes."""
    program = [*TRAIN]
    if processes > 1:
        program = ['torchrun', '--standalone', '--nproc_per_node', str(processes), TRAIN[1]]
    return [*program, '--config_file', str(config), '--resume']


def best_checkpoint(card: Mapping[str, Any]) -> str | None:
    """Return the checkpoint to use: of the last stage, the best by validation, else the last.

    A checkpoint without a stage, which no training of this folder wrote, comes first if it is the
    only tested one.
    """
    ours = [each for each in card['checkpoints'] if each['stage'] and each['this_run']]
    if not ours:
        tested = [test['checkpoint'] for test in card['tests'] if test['checkpoint'] != START]
        return tested[-1] if tested else None
    stage = max(each['stage'] for each in ours)
    last = [each for each in ours if each['stage'] == stage]
    scored = [each for each in last if each['validation_mAP'] is not None]
    if scored:
        return max(scored, key=lambda each: each['validation_mAP'])['file']
    return max(last, key=lambda each: each['epoch'] or 0)['file']


def limits(card: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before using the numbers of a card."""
    if not card['tests']:
        return ['This model has not been tested: nothing is known of its errors.', *FIXED_LIMITS]
    found = []
    for test in card['tests']:
        found += [tested_on(test), frames_of_one_passage(test)]
    return [*dict.fromkeys(found), *FIXED_LIMITS]


def tested_on(test: Mapping[str, Any]) -> str:
    """Say on what a checkpoint was tested."""
    query, gallery = test['counts']['query'], test['counts']['gallery']
    cameras = 'the lists name no cameras, so it may be one place'
    if test['cameras']:
        cameras = f'the queries are from {counted(test["cameras"], "camera")}'
    return (
        f'Tested on {counted(query["photos"], "query")} of '
        f'{counted(query["individuals"], "individual")}, in a gallery of '
        f'{counted(gallery["photos"], "photo")} of '
        f'{counted(gallery["individuals"], "individual")}; {cameras}. Other animals, places and '
        'cameras may differ.'
    )


def frames_of_one_passage(test: Mapping[str, Any]) -> str:
    """Say whether a test compares photos that were taken seconds apart."""
    protocol = PROTOCOLS.get(test['protocol'])
    if protocol and protocol.ignore in APART:
        return (
            f"Protocol '{protocol.name}' does not compare photos of one {protocol.ignore}, as far "
            'as the lists name it.'
        )
    return (
        f"Protocol '{test['protocol']}' compares photos of one passage of an animal, if the lists "
        'have such; these resemble each other, so the numbers are higher than across passages.'
    )
