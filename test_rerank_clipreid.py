"""Test with k-reciprocal re-ranking, otherwise as test_clipreid.py.

TEST.RERANK_K1, RERANK_K2 and RERANK_LAMBDA are its settings.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError, load_cfg
from test_clipreid import evaluate, parse
from utils.errors import exit_code


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Metrics of the checkpoint TEST.WEIGHT after re-ranking as fractions, by name."""
    args = parse(argv, 'Test a trained model with k-reciprocal re-ranking.')
    cfg = load_cfg(args.config_file, args.opts)
    return evaluate(cfg, args.config_file, 'test_rerank', rerank=True)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
