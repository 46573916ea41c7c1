"""Test a trained model with k-reciprocal re-ranking; otherwise the same as test_clipreid.py.

The settings are TEST.RERANK_K1, RERANK_K2 and RERANK_LAMBDA.
"""

import sys
from collections.abc import Sequence

import test_clipreid
from configs import ConfigError
from utils.errors import exit_code


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Test the checkpoint TEST.WEIGHT with re-ranking; return its metrics by name, as fractions."""
    return test_clipreid.main(argv, rerank=True)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
