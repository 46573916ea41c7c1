"""Test with k-reciprocal re-ranking, otherwise as test_clipreid.py: TEST.RERANK_K1, RERANK_K2,
RERANK_LAMBDA.
"""

import sys

from configs import ConfigError
from test_clipreid import run
from utils.errors import exit_code


def main(argv=None):
    """Metrics of the checkpoint TEST.WEIGHT after re-ranking, as a dict of fractions."""
    return run(
        argv,
        'Test a trained model with k-reciprocal re-ranking.',
        'test_rerank',
        always_rerank=True,
    )


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
