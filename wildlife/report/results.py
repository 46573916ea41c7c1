"""Reads the results of a test: results.json and the tables beside it in its OUTPUT_DIR."""

import json
import ntpath
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from processor.results import FORMAT
from utils.errors import InputError, first_line
from utils.ranking import Ranking
from wildlife.report.result_checks import find_damage

QUERIES: dict[str, type] = {  # columns of queries.csv -> their types
    **{'query': str, 'query_label': int, 'group': str, 'ap': float},
    **dict.fromkeys(('first_hit', 'last_hit', 'positives', 'compared'), int),
    'counted': bool,
}
RANKED: dict[str, type] = {  # columns of ranked_lists.csv -> their types
    **{'query': str, 'query_label': int, 'rank': int, 'photo': str, 'label': int},
    **{'distance': str, 'right': int},
}
PHOTOS = ('query', 'photo')  # columns that name a photo


@dataclass(frozen=True)
class TestResult:
    """The result of a test.

    Attributes:
        folder: The OUTPUT_DIR of the test.
        facts: The content of results.json.
    """

    folder: Path
    facts: dict[str, Any]

    @property
    def checkpoint_name(self) -> str:
        """The file name of the checkpoint."""
        return file_name(self.facts['checkpoint'])

    @property
    def config(self) -> dict[str, Any]:
        """The config of the test: key -> value."""
        return self.facts['config']

    @property
    def measures(self) -> dict[str, Any]:
        """The metrics with intervals, see ``utils.intervals.measure``."""
        return self.facts['measures']

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics as fractions; None = undefined. Several trials have the published ones."""
        return self.measures['values'] or self.facts['metrics']

    @cached_property
    def queries(self) -> pd.DataFrame:
        """The content of queries.csv, one row per query.

        Columns: query (path), query_label, group ('' = none), side, camera, encounter (NaN =
        unknown), and the fields of ``utils.ranking.Ranking``.

        Raises:
            InputError: The file is missing or damaged.
        """
        table = self._read('queries.csv', QUERIES)
        table['group'] = table['group'].fillna('')
        self._check_queries(table)
        return table

    @cached_property
    def ranked_lists(self) -> pd.DataFrame:
        """The content of ranked_lists.csv, the first photos of each query, one per row.

        Columns: query (path), query_label, rank, photo (path), label, distance, right.

        Raises:
            InputError: The file is missing or damaged.
        """
        return self._read('ranked_lists.csv', RANKED)

    def _read(self, name: str, types: Mapping[str, type]) -> pd.DataFrame:
        """Read a table of the folder and check that it has the columns, of these types."""
        path = self.folder / name
        try:
            with np.errstate(invalid='ignore'):  # infinite where a whole number is due
                table = pd.read_csv(path, dtype=dict(types), encoding='utf-8-sig')
            if missing := [column for column in types if column not in table]:
                raise ValueError(f'no column {", ".join(missing)}')
            if table[[name for name in PHOTOS if name in types]].isna().any(axis=None):
                raise ValueError('the path of a photo is missing')
        except OSError as error:
            raise InputError(f'{path}: cannot be read ({error.strerror}); test again') from error
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f'{path}: damaged ({first_line(error)}); test again') from error
        return table

    def _check_queries(self, table: pd.DataFrame) -> None:
        """Check that queries.csv belongs to this result, not to a later one in its folder."""
        expected = self.measures['values'].get('mAP')
        found = table['ap'].to_numpy()[table['counted'].to_numpy(dtype=bool)]
        if expected is not None and not (len(found) and np.isclose(found.mean(), expected)):
            raise InputError(
                f'{self.folder / "queries.csv"}: belongs to another test than the results.json '
                f'(mAP {expected:.4f}); name the folder of the last test, or test again'
            )

    @property
    def ranking(self) -> Ranking:
        """The results of the queries, for ``utils.intervals.query_averages``."""
        return Ranking(*(self.queries[name].to_numpy() for name in Ranking._fields))

    @property
    def identities(self) -> np.ndarray:
        """(Q,), the individual of each query."""
        return self.queries['query_label'].to_numpy()


def file_name(path: str) -> str:
    """Return the last part of a path, which may come from another operating system."""
    return ntpath.basename(path)  # separates at both / and \\


def read_result(path: str | Path) -> TestResult:
    """Read the result of a test.

    Args:
        path: The OUTPUT_DIR of the test, or its results.json.

    Raises:
        InputError: There is no result, or an older version of the program wrote it.
    """
    given = Path(path).expanduser()
    file = given / 'results.json' if os.path.isdir(given) else given
    try:
        facts = json.loads(file.read_text(encoding='utf-8'), parse_constant=_reject_constant)
    except OSError as error:
        raise InputError(
            f'{file}: cannot be read ({error.strerror}); name the OUTPUT_DIR of a test, or its '
            'results.json'
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f'{file}: not the results.json of a test ({first_line(error)}); test again'
        ) from error
    if not isinstance(facts, dict) or 'metrics' not in facts:
        raise InputError(f'{file}: not the results.json of a test; name the OUTPUT_DIR of a test')
    if facts.get('format') != FORMAT:
        raise InputError(
            f'{file}: written by another version of this program (format '
            f'{facts.get("format", 1)}, this version reads {FORMAT}); test the checkpoint again'
        )
    if damage := find_damage(facts):
        raise InputError(f'{file}: damaged: {damage}; test again')
    return TestResult(file.parent, facts)


def _reject_constant(name: str) -> NoReturn:
    """Reject NaN and Infinity, which JSON does not have and no test writes."""
    raise ValueError(f'{name} is not a number')
