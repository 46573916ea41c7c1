"""What tools.explain does: pairs, hardest queries and the deletion test, into one folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yacs.config import CfgNode

from configs import flatten
from datasets.loaders import TestSet
from datasets.make_dataloader_clipreid import make_test_dataloader
from model.names import START
from processor.encoder import Encoder, load_model, make_encoder, whitening_facts
from processor.inference import distance_settings, do_inference
from utils.device import wants_pinned_memory
from utils.errors import InputError
from utils.run.session import Session
from wildlife.explain.pairs import ChosenPair, hardest_pairs
from wildlife.explain.run import (
    check_faithfulness,
    check_text,
    explain_pairs,
    make_explainer,
    write_explanations,
)
from wildlife.names import names_of_labels

NOT_MODELS = ('.npz', '.parquet', '.onnx')


class Written(NamedTuple):
    """What was written: the page, the number of pairs on it, the deletion test in words or ''."""

    page: Path
    pairs: int
    check: str


def check_weights(cfg: CfgNode) -> None:
    """Check that TEST.WEIGHT names a model, with its layers.

    Raises:
        InputError: It names only features, or an exported graph, or nothing.
    """
    weight = cfg.TEST.WEIGHT
    if not weight:
        raise InputError(
            f'TEST.WEIGHT names no model; name a checkpoint, or {START} for the untrained weights'
        )
    if Path(weight).suffix.lower() in NOT_MODELS:
        raise InputError(
            f'TEST.WEIGHT: {weight} has no layers to look into (features, or an exported graph); '
            'name the checkpoint that it comes from'
        )


def explain_to_folder(
    run: Session, folder: Path, pairs: Sequence[ChosenPair], queries: int, check: int
) -> Written | None:
    """Explain pairs, hardest queries, or both, and test the maps.

    Args:
        run: The run; its config names TEST.WEIGHT and the test lists.
        folder: Where the page, the JSON and the pictures go.
        pairs: Pairs of files.
        queries: How many of the hardest queries of the test are explained.
        check: The number of pairs of the deletion test; 0 = no test.

    Returns:
        What was written; None in all processes but the first.

    Raises:
        InputError: Photos, lists or weights cannot be read, no query can be explained, or the model
            cannot be.
    """
    cfg = run.cfg
    test = _read_test(run) if queries or check else None
    records = [*test.query, *test.gallery] if test else [pair.first for pair in pairs]
    model, weights = load_model(cfg, records)
    encoder = make_encoder(cfg, model, run.runtime.device)
    hardest = _hardest(run, encoder, test, queries) if test and queries else []
    if not run.main:
        return None
    explained = explain_pairs(make_explainer(cfg, encoder, upright=True), pairs)
    explainer = make_explainer(cfg, encoder)
    result = check_faithfulness(explainer, test, check) if test and check else None
    explained += explain_pairs(explainer, hardest)
    facts = weights | {'similarity': explainer.similarity.text, 'whitening': whitening_facts(cfg)}
    page = write_explanations(folder, explained, result, facts)
    return Written(page, len(explained), check_text(result) if result else '')


def _read_test(run: Session) -> TestSet:
    device = run.runtime.device
    pinned = wants_pinned_memory(device)
    test = make_test_dataloader(run.cfg, pinned, run.runtime.processes, device)
    run.cleanup.callback(test.loader.close)
    return test


def _hardest(run: Session, encoder: Encoder, test: TestSet, count: int) -> list[ChosenPair]:
    """Return the hardest queries; [] in all processes but the first, which share the encoding."""
    result = do_inference(encoder, test, run.runtime, None, *distance_settings(run.cfg))
    if not run.main:
        return []
    names = names_of_labels([*test.query, *test.gallery], flatten(run.cfg))
    chosen = hardest_pairs(test, result, names, count)
    if not chosen:
        raise InputError(
            f'--queries: no query has a match by the protocol {test.protocol.name} and a wrong '
            'photo beside it; choose another DATASETS.PROTOCOL or other lists'
        )
    return chosen
