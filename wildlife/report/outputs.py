"""All that a test writes into its folder: log lines, tables, pictures and the report."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from configs import flatten
from datasets.loaders import TestSet
from processor.encoder import Encoder
from processor.inference import Result
from processor.results import report_test, write_results
from utils.run.session import Session
from wildlife.explain.run import looks_for_report
from wildlife.report.page import write_report

logger = logging.getLogger('transreid.test')


def write_outputs(
    run: Session,
    test: TestSet,
    result: Result,
    facts: Mapping[str, Any],
    encoder: Encoder | None = None,
) -> None:
    """Log the metrics of a test; write results.json, its tables and pictures, and report.html.

    Args:
        run: The run; its config says how many draws an interval has and whether there is a report.
        test: The test set.
        result: Its result.
        facts: Facts for results.json: of the run, 'checkpoint', 'config_file', 're_ranking' …
        encoder: That of the test, to show where it looks; None = there are only features.
    """
    measures = report_test(result, test, run.cfg.TEST.BOOTSTRAP, logger)
    known = {**facts, 'config': flatten(run.cfg), 'measures': measures}
    write_results(run.folder, test, result, known)
    if run.cfg.TEST.REPORT:
        explain = partial(looks_for_report, run.cfg, encoder, test, result) if encoder else None
        write_report(run.folder, test, result, known, explain)


def with_fp32(facts: Mapping[str, Any], result: Result, in_fp32: Result) -> dict[str, Any]:
    """Log how bf16 has changed a test; return the facts with the metrics in fp32.

    Args:
        facts: The facts for results.json.
        result: The result in bf16.
        in_fp32: That of the same weights and photos in fp32.
    """
    names = [name for name in ('mmAP', 'mAP', 'rank1') if name in in_fp32.metrics]
    for name in names:
        low, full = result.metrics[name], in_fp32.metrics[name]
        logger.info(
            'TEST.PRECISION bf16: %s %.2f%%, in fp32 %.2f%%, change %+.2f points',
            *(name, 100 * low, 100 * full, 100 * (low - full)),
        )
    return {**facts, 'metrics_in_fp32': in_fp32.metrics}
