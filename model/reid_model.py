"""The re-identification model: CLIP's encoders, two necks and classifiers, learned prompts.

Li, Sun, Li, "CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without
Concrete Text Labels", AAAI 2023. State-dict names and shapes are those of the original
implementation, also of its baseline: a base variant has neither prompts nor text encoder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.clip.towers import TextEncoder
from model.prompt import PromptLearner, Sentence
from utils.checkpoint import check_state, load_state
from utils.linear import Linear


@dataclass(frozen=True)
class ModelSettings:
    """What a model is besides its towers.

    Attributes:
        num_class: number of individuals.
        feature_dim: length of f, the feature before the projection.
        projected_dim: length of f_proj.
        neck_feat: the test feature is taken 'before' or 'after' the necks.
        activation: that of the encoders, one of ``towers.ACTIVATIONS``.
        grid: (rows, columns) of the image encoder's positions.
    """

    num_class: int
    feature_dim: int
    projected_dim: int
    neck_feat: str
    activation: str
    grid: tuple[int, int]


@dataclass(frozen=True)
class SideInformation:
    """Embeddings of cameras and views (SIE; TransReID, He et al. 2021, section 3.3).

    Attributes:
        cameras: how many have an embedding; 0 = that label is not used.
        views: the same for views.
        factor: of the embedding, λ of the paper.
    """

    cameras: int
    views: int
    factor: float

    @property
    def rows(self) -> int:
        """Number of embeddings: one per pair of camera and view."""
        if self.cameras or self.views:
            return max(1, self.cameras) * max(1, self.views)
        return 0

    def index(self, camera: Tensor | None, view: Tensor | None) -> Tensor | None:
        """Return the embeddings' rows (B,) of cameras and views (B,); None: a label is missing."""
        if not self.views:
            return camera if self.cameras else None
        if not self.cameras or view is None:
            return view
        return None if camera is None else camera * self.views + view


class ReIDModel(nn.Module):
    """See :meth:`forward`. Built by :func:`make_model` and :func:`make_test_model`.

    Args:
        image_encoder: see ``towers``.
        text_encoder: None in a base variant.
        settings: sizes of the heads, and what a checkpoint must say.
        side: with no rows there is no embedding.
        sentence: that of the prompts, None in a base variant.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        text_encoder: TextEncoder | None,
        settings: ModelSettings,
        side: SideInformation,
        sentence: Sentence | None = None,
    ):
        super().__init__()
        self.settings, self.side_information = settings, side
        self.side, self.activation = (side.cameras, side.views), settings.activation
        self.neck_feat = settings.neck_feat
        dim, dim_proj = settings.feature_dim, settings.projected_dim
        num_class = settings.num_class
        if side.rows:
            embeddings = nn.init.trunc_normal_(torch.empty(side.rows, dim), std=0.02)
            self.cv_embed = nn.Parameter(embeddings)
        self.classifier = _classifier(dim, num_class)
        self.classifier_proj = _classifier(dim_proj, num_class)
        self.bottleneck = _neck(dim)
        self.bottleneck_proj = _neck(dim_proj)
        self.image_encoder = image_encoder
        self.has_prompts = sentence is not None
        if sentence is not None and text_encoder is not None:
            self.prompt_learner = PromptLearner(num_class, sentence.prefix, sentence.suffix)
            self.text_encoder = text_encoder.requires_grad_(False)  # CLIP's own in both stages
            self.tokenized_prompts = sentence.tokens
            # CLIP reads a sentence at the first position of the largest id
            self.end = int(sentence.tokens.argmax())
        # of several processes: (B, D) of each -> (world · B, D), before what looks at the whole
        # batch
        self.gather: Callable[[Tensor], Tensor] | None = None

    @property
    def num_class(self) -> int:
        """Number of individuals."""
        return len(self.classifier.weight)

    @property
    def feature_dim(self) -> int:
        """Length of f, the feature before the projection."""
        return self.classifier.in_features

    @property
    def about(self) -> dict[str, str]:
        """What a checkpoint must say besides its weights, for ``utils.checkpoint.save_state``."""
        rows, columns = self.settings.grid
        about = {
            'activation': self.activation,
            'side': f'{self.side[0]},{self.side[1]}',
            'positions': f'{rows}x{columns}',
        }
        if any(self.side):
            about['sie_coe'] = str(float(self.side_information.factor))
        return about

    def forward(
        self,
        x: Tensor | None = None,
        label: Tensor | None = None,
        get_image: bool = False,
        get_text: bool = False,
        cam_label: Tensor | None = None,
        view_label: Tensor | None = None,
    ) -> Tensor | tuple[list[Tensor], list[Tensor], Tensor]:
        """Encode photos or sentences.

        Args:
            x: (B, 3, H, W) photos.
            label: (B,) individuals, for ``get_text``.
            get_image: only the projected image features, without side information.
            get_text: only the text features; not of a base variant.
            cam_label: (B,) cameras.
            view_label: (B,) views.

        Returns:
            ``get_text``: text features (B, E) of the individuals ``label``.
            ``get_image``: projected image features (B, E).
            In training: ([score, score_proj] (B, classes), [f_last, f, f_proj], f_proj); of several
            processes, of all their photos.
            In evaluation: the test feature f ‖ f_proj (B, D + E), before or after the necks.
        """
        if get_text:
            assert label is not None, 'text features are those of individuals'
            return self.sentence_encoder()(label)
        if get_image:
            return self.image_encoder(x)[2]
        extra = self._side_information(cam_label, view_label)
        f_last, f, f_proj = features = self.image_encoder(x, extra)
        if self.training:
            if self.gather:  # one message for the three
                lengths = [feature.shape[1] for feature in features]
                f_last, f, f_proj = self.gather(torch.cat(features, dim=1)).split(lengths, dim=1)
            scores = [
                self.classifier(self.bottleneck(f)),
                self.classifier_proj(self.bottleneck_proj(f_proj)),
            ]
            return scores, [f_last, f, f_proj], f_proj
        if self.neck_feat == 'after':
            f, f_proj = self.bottleneck(f), self.bottleneck_proj(f_proj)
        return torch.cat([f, f_proj], dim=1)

    def sentence_encoder(self) -> Callable[[Tensor], Tensor]:
        """Return a function of individuals (B,) to their text features (B, E).

        It is for many calls with the weights as they are now: the words before the learned ones
        are computed here, once. Gradients reach the learned words.
        """
        with torch.no_grad():
            start = self.text_encoder.start(self.prompt_learner.token_prefix)
        return lambda labels: self.text_encoder(self.prompt_learner(labels, self.end), start)

    def _side_information(self, cameras: Tensor | None, views: Tensor | None) -> Tensor | None:
        index = self.side_information.index(cameras, views)
        return None if index is None else self.side_information.factor * self.cv_embed[index]

    def changed_names(self, stage: int) -> list[str]:
        """Return the state dict's names that training has changed by the end of stage 1 or 2."""
        if stage == 1:
            return ['prompt_learner.cls_ctx'] if self.has_prompts else []
        frozen = ('text_encoder.', 'prompt_learner.token_')
        return [name for name in self.state_dict() if not name.startswith(frozen)]

    def load_param(self, path: str | Path) -> None:
        """Load a trained model of the same shapes, from here or from the original.

        Raises:
            InputError: it cannot be read or does not fit; nothing is loaded then.
        """
        state = load_state(path)
        check_state(state, self.state_dict(), path)
        self.load_state_dict(state)


def _classifier(dim: int, num_class: int) -> Linear:
    layer = Linear(dim, num_class, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return layer


def _neck(dim: int) -> nn.BatchNorm1d:
    """BNNeck (Luo et al. 2019): its bias stays 0."""
    layer = nn.BatchNorm1d(dim)
    layer.bias.requires_grad_(False)
    return layer
