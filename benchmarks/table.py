"""Rows and profiles of the benchmark as text."""

from collections.abc import Mapping

from benchmarks.core import Facts
from benchmarks.memory import memory_ratio

HEADER = (
    f'{"row":22}{"threads":>8}{"rounds":>7}{"plain s":>11}{"ours s":>11}{"ratio":>8}{"goal":>8}'
    f'{"reached":>9}{"difference":>12}{"memory":>8}{"goal":>7}{"reached":>9}'
)
VERDICTS = {True: 'yes', False: 'NO', None: '-'}


def line(row: Facts) -> str:
    """Format a row of the table."""
    if 'ours' not in row:
        return f'{row["name"]:22}{row["threads"]:8d}  failed'
    if row['limit_s'] is not None:
        goal = f'≤ {row["limit_s"]:g} s'
    else:
        goal = number(row['goal'], 'g', '≥ ')
    memory = row.get('memory', {})
    plain = number(row.get('plain', {}).get('median_s'), '.4f')
    ours = number(row['ours']['median_s'], '.4f')
    saved = number(memory_ratio(memory) if 'plain' in memory else None, '.2f')
    return (
        f'{row["name"]:22}{row["threads"]:8d}{row["rounds"]:7d}{plain:>11}{ours:>11}'
        f'{number(row["ratio"], ".2f"):>8}{goal:>8}{verdict(row):>9}'
        f'{number(row["difference"], ".1e"):>12}{saved:>8}'
        f'{number(memory.get("goal"), ".2f", "≤ "):>7}{verdict(memory):>9}'
    )


def number(value: float | None, form: str, before: str = '') -> str:
    """Format a number; '-' for None."""
    return '-' if value is None else f'{before}{value:{form}}'


def verdict(facts: Mapping[str, bool | None]) -> str:
    """Return 'yes', 'NO' or '-' (no goal)."""
    return VERDICTS[facts.get('reached')]


def profile_lines(row: Facts) -> list[str]:
    """Format the profile of a row."""
    profile = row['profile']
    lines = [
        f'\n{row["name"]}, {row["threads"]} threads: where our code spends its time',
        f'  kernels:   {shares(profile["kernels"])}',
    ]
    if 'device_kernels' in profile:
        kernels = shares(profile['device_kernels'])
        lines.append(f'  on device: {kernels}; idle {profile["device_idle"]:.0%}')
    lines.append(f'  functions: {shares(profile["functions"])}')
    if 'flops' in profile:
        lines.append(
            f'  {profile["flops"] / 1e9:.1f} GFLOP, {profile["share_of_limit"]:.0%} of the '
            f'arithmetic limit {profile["peak_flops"] / 1e9:.0f} GFLOP/s '
            f'({profile["dtype"]} products)'
        )
    return lines


def shares(parts: list[tuple[str, float]]) -> str:
    """Format names with their shares of the time."""
    return ', '.join(f'{name} {share:.0%}' for name, share in parts) or 'nothing above 1 %'
