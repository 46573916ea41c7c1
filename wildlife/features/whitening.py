"""Fits a whitening on the train photos of a config: of a model, or of features from a file."""

import os
from dataclasses import replace

import torch
from yacs.config import CfgNode

from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from datasets.sources import load_train
from model.names import START
from processor.encoder import FEATURE_FACTS, Encoder, feature_facts, fit_on_records, load_model
from processor.inference import extract_features
from utils import __version__
from utils.errors import InputError
from utils.run.session import Session
from utils.whitening import Whitening
from wildlife.features.evaluate import features_of
from wildlife.features.files import read_features


def default_path(cfg: CfgNode, file: str) -> str:
    """Return the file to write for the features of ``file`` or, if that is '', of TEST.WEIGHT.

    It is beside them; for TEST.WEIGHT start in OUTPUT_DIR, since data sets share starting weights.
    """
    source = file or cfg.TEST.WEIGHT
    stem = os.path.join(cfg.OUTPUT_DIR, START) if source == START else os.path.splitext(source)[0]
    return f'{stem}_whitening.safetensors'


def fit_on_train_list(run: Session, file: str, dimension: int, shrinkage: float) -> Whitening:
    """Fit a whitening on the features of the train photos.

    Args:
        run: The run; its config names the lists.
        file: A file of features; '' = extract those of TEST.WEIGHT, with the test transform.
        dimension: The most dimensions that are kept.
        shrinkage: See ``utils.whitening.fit_whitening``.

    Raises:
        InputError: The photos, the model or the file cannot be read, or no whitening can be fitted.
    """
    records = load_train(run.cfg).train
    features, about = _of_file(file, records) if file else _of_model(run, records)
    if about['model_sha256'] == '':  # nothing could tell one random model from another
        raise InputError(
            'a whitening belongs to weights in a file, but these features are those of random '
            'weights; set TEST.WEIGHT, or MODEL.PRETRAIN_PATH for TEST.WEIGHT start'
        )
    whitening = fit_on_records(features, records, dimension, shrinkage)
    return replace(whitening, facts={**whitening.facts, **about, 'version': __version__})


def _of_model(run: Session, records: list[Record]) -> tuple[torch.Tensor, dict]:
    model, facts = load_model(run.cfg, records)
    loader = make_photo_loader(run.cfg, records, run.runtime)
    run.cleanup.callback(loader.close)
    encoder = Encoder(model).to(run.runtime.device)
    features = extract_features(encoder, loader, run.runtime)
    return features, feature_facts(run.cfg, model, facts['checkpoint_sha256'])


def _of_file(file: str, records: list[Record]) -> tuple[torch.Tensor, dict]:
    table = read_features(file)
    if table.about.get('whitening'):
        raise InputError(f'{file}: these features are whitened already; extract them without')
    about = {name: table.about.get(name) for name in FEATURE_FACTS}
    return features_of(table, records, file), about
