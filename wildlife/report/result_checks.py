"""Checks that the content of a results.json is what its readers need."""

import math
from collections.abc import Mapping
from typing import Any

FACTS: dict[str, Any] = {  # name -> type of what the readers use
    'metrics': dict,
    'measures': dict,
    'config': dict,
    'data': dict,
    'protocol': str,
    'protocol_text': str,
    'trials': int,
    'checkpoint': str,
    're_ranking': dict | None,
}
MEASURES: dict[str, Any] = {
    'individuals': int,
    'draws': int,
    'values': dict,
    'intervals': dict,
    'reason': str,
}
SPLIT: dict[str, Any] = {'photos': int, 'sha256': str}
CONFIG: dict[str, Any] = {
    'SOLVER.SEED': int,
    **dict.fromkeys(('OUTPUT_DIR', 'DATASETS.NAMES', 'DATASETS.LIST_DIR'), str),
    'DATASETS.TEST_ROOT_DIR': str,
}


def find_damage(facts: Mapping[str, Any]) -> str:
    """Say what is wrong with the content of a results.json, '' if nothing is.

    Args:
        facts: The content, of the format that this version writes.
    """
    if damage := _wrong_types(facts, FACTS):
        return damage
    parts = [('measures', facts['measures'], MEASURES), ('config', facts['config'], CONFIG)]
    parts += [(f'data {name}', split, SPLIT) for name, split in facts['data'].items()]
    for name, part, types in parts:
        if not isinstance(part, dict):
            return f'{name} is not a table of values'
        if damage := _wrong_types(part, types):
            return f'{name}: {damage}'
    return _wrong_numbers(facts)


def _wrong_types(facts: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    if missing := [name for name in types if name not in facts]:
        return f'{", ".join(missing)} missing'
    wrong = [name for name, kind in types.items() if not isinstance(facts[name], kind)]
    return f'{", ".join(wrong)} of the wrong type' if wrong else ''


def _wrong_numbers(facts: Mapping[str, Any]) -> str:
    values = facts['metrics'] | facts['measures']['values']
    for name, value in values.items():
        if value is not None and not _is_number(value):
            return f'{name} is not a number'
    for name, pair in facts['measures']['intervals'].items():
        is_pair = isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
        if pair is not None and not is_pair:
            return f'the interval of {name} is not a pair of numbers'
    return ''


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
