"""Examines a model: which views of the photos are encoded, and what is measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from yacs.config import CfgNode

from datasets.loaders import TestSet
from datasets.make_dataloader_clipreid import make_test_dataloader
from datasets.sources import load_test
from processor.encoder import load_model, make_encoder
from processor.inference import distance_settings
from utils.device import wants_pinned_memory
from utils.errors import InputError
from utils.metrics import count_positives
from utils.run.session import Session
from wildlife.background.summary import EMPTY, FULL
from wildlife.diagnosis.figures import Figure, Figures
from wildlife.diagnosis.material import MIRRORED, WHOLE, Material
from wildlife.diagnosis.measures import (
    encounter_figures,
    flank_figures,
    mirror_figures,
    part_figures,
)
from wildlife.diagnosis.quality import PROPERTIES, measure_photos, property_figures
from wildlife.diagnosis.views import (
    OnlyPart,
    animal_shares,
    check_shares,
    mirrored,
    parts_of_photos,
    view_features,
)
from wildlife.diagnosis.words import Finding, findings

Properties = dict[str, tuple[Figure, list[dict[str, Any]]]]


@dataclass(frozen=True)
class Diagnosis:
    """What was found about a model on the photos of a test.

    Attributes:
        test: The test set.
        facts: 'checkpoint' and 'checkpoint_sha256' and, of starting weights, 'starting_weights'.
        reason: Why there are no intervals; '' if there are.
        draws: The number of draws of an interval.
        counted: The number of queries that count under the protocol.
        parts, mirror, flank, encounters: The figures, see ``measures``.
        properties: Property -> correlation and quarters, see ``quality.property_figures``.
        values: The table of the queries' properties.
        views: Part -> what shows only that part; {} without masks.
        shares: Path -> the share of the photo that the animal covers; {} without masks.
    """

    test: TestSet
    facts: dict[str, str]
    reason: str
    draws: int
    counted: int
    parts: Figures
    mirror: Figures
    flank: Figures
    encounters: Figures
    properties: Properties
    values: pd.DataFrame
    views: Mapping[str, OnlyPart]
    shares: Mapping[str, float]

    @property
    def findings(self) -> list[Finding]:
        """What was found, in words."""
        together = bool(self.encounters) and self.test.protocol.ignore != 'encounter'
        figures = (self.parts, self.mirror, self.flank, self.encounters)
        return findings(*figures, self.properties, together)

    @property
    def mask_counts(self) -> dict[str, Any]:
        """How much the animals cover, and how many masks show nothing or everything."""
        shares = list(self.shares.values())
        if not shares:
            return {}
        return {
            'photos': len(shares),
            'mean_share': sum(shares) / len(shares),
            'empty': sum(share < EMPTY for share in shares),
            'full': sum(share > FULL for share in shares),
        }


def diagnose(run: Session, masks: Path | None, resize_masks: bool = False) -> Diagnosis | None:
    """Examine the model of TEST.WEIGHT on the photos of the test.

    Args:
        run: The run.
        masks: The folder of masks; None = parts of photos are not examined.
        resize_masks: Whether masks of another size are resized.

    Returns:
        The diagnosis; None in all processes but the first.

    Raises:
        InputError: Photos, masks, lists or weights cannot be read.
    """
    cfg, runtime = run.cfg, run.runtime
    pinned = wants_pinned_memory(runtime.device)
    test = make_test_dataloader(cfg, pinned, runtime.processes, runtime.device)
    run.cleanup.callback(test.loader.close)
    records, query = test.loader.dataset.records, test.trials[0].query
    if not count_positives(query, test.trials[0].gallery, test.protocol).any():
        raise InputError(
            'no query has a match in the gallery, so there is nothing to examine; check the '
            'labels of both lists'
        )
    views: dict[str, OnlyPart] = {}
    shares: dict[str, float] = {}
    if masks:
        views = parts_of_photos(masks, records, _photo_root(cfg), resize_masks)
        shares = animal_shares(views['animal'])
        check_shares(shares, masks)
    features, facts = _encode(run, test, views)
    if not run.main:
        return None
    material = Material(test, features, *distance_settings(cfg), cfg.TEST.BOOTSTRAP)
    values = measure_photos([record.path for record in query], cfg.INPUT.SIZE_TEST)
    return Diagnosis(
        test=test,
        facts=facts,
        reason=material.bootstrap.reason(material.ranking.counted),
        draws=cfg.TEST.BOOTSTRAP,
        counted=int(material.ranking.counted.sum()),
        parts=part_figures(material),
        mirror=mirror_figures(material),
        flank=flank_figures(material),
        encounters=encounter_figures(material),
        properties=_properties(values, material),
        values=values,
        views=views,
        shares=shares,
    )


def _encode(
    run: Session, test: TestSet, views: Mapping[str, OnlyPart]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the features of each view (see ``Material``), and facts about the model."""
    records, query = test.loader.dataset.records, test.trials[0].query
    model, facts = load_model(run.cfg, records)
    encoder = make_encoder(run.cfg, model, run.runtime.device)
    features = {WHOLE: view_features(run, encoder, records, None, 'features')}
    features[MIRRORED] = view_features(run, encoder, query, mirrored, 'mirror images')
    for part, view in views.items():
        features[part] = view_features(run, encoder, records, view, f'{part} alone')
    return features, facts


def _properties(values: pd.DataFrame, material: Material) -> Properties:
    """Compare each property of the queries with their average precision."""
    ranking, found = material.ranking, {}
    for name in PROPERTIES:
        how = (ranking.ap, ranking.counted, material.bootstrap)
        found[name] = property_figures(values[name].to_numpy(), *how)
    return found


def _photo_root(cfg: CfgNode) -> str:
    """Return the folder that the masks mirror."""
    if cfg.DATASETS.NAMES == 'animals':
        return cfg.DATASETS.TEST_ROOT_DIR
    return load_test(cfg).root
