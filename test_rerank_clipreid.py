"""Test with k-reciprocal re-ranking, otherwise as test_clipreid.py.

TEST.RERANK_K1, RERANK_K2 and RERANK_LAMBDA are its settings.
"""

import sys
from collections.abc import Sequence

import test_clipreid
from configs import ConfigError
from utils.errors import exit_code


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Metrics of the checkpoint TEST.WEIGHT after re-ranking as fractions, by name."""
    return test_clipreid.main(argv, rerank=True)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
