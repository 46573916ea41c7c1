"""Reads the results of a test: results.json and the tables beside it in its OUTPUT_DIR."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from processor.results import FORMAT
from utils.errors import InputError, first_line
from utils.ranking import Ranking

NEEDED = (  # facts of results.json that every reader may expect
    *('measures', 'config', 'data', 'protocol', 'protocol_text'),
    *('trials', 'checkpoint', 're_ranking'),
)


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
        names = ['query', 'query_label', *Ranking._fields]
        table = self._read('queries.csv', names, {'query': str, 'group': str})
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
        names = ['query', 'query_label', 'rank', 'photo', 'label', 'distance', 'right']
        return self._read('ranked_lists.csv', names, {'query': str, 'photo': str, 'distance': str})

    def _read(self, name: str, columns: Sequence[str], types: Mapping[str, type]) -> pd.DataFrame:
        """Read a table of the folder and check that it has the columns."""
        path = self.folder / name
        try:
            table = pd.read_csv(path, dtype=dict(types))
            table[list(columns)]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f'{path}: cannot be read ({first_line(error)}); test again') from error
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


def read_result(path: str | Path) -> TestResult:
    """Read the result of a test.

    Args:
        path: The OUTPUT_DIR of the test, or its results.json.

    Raises:
        InputError: There is no result, or an older version of the program wrote it.
    """
    given = Path(path).expanduser()
    file = given / 'results.json' if given.is_dir() else given
    try:
        facts = json.loads(file.read_text(encoding='utf-8'))
    except OSError as error:
        raise InputError(
            f'{file}: cannot be read ({error.strerror}); name the OUTPUT_DIR of a test, or its '
            'results.json'
        ) from error
    except ValueError as error:
        raise InputError(f'{file}: not the results.json of a test ({error})') from error
    if not isinstance(facts, dict) or 'metrics' not in facts:
        raise InputError(f'{file}: not the results.json of a test')
    if facts.get('format') != FORMAT:
        raise InputError(
            f'{file}: written by another version of this program (format '
            f'{facts.get("format", 1)}, this version reads {FORMAT}); test the checkpoint again'
        )
    if missing := [name for name in NEEDED if name not in facts]:
        raise InputError(f'{file}: damaged: {", ".join(missing)} missing; test again')
    return TestResult(file.parent, facts)
