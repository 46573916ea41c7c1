"""The re-identification model: encoders, their necks and classifiers, learned prompts.

Li, Sun, Li, "CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without
Concrete Text Labels", AAAI 2023. State-dict names and shapes are those of the original
implementation and its baseline; a base variant has neither prompts nor a text encoder. Around an
encoder of the library timm, which gives one feature instead of CLIP's three, there is only one neck
and one classifier.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.clip.towers import TextEncoder
from model.freezing import keep_frozen_statistics
from model.prompt import PromptLearner, Sentence
from utils.checkpoint import check_state, load_state
from utils.linear import CosineLinear, Linear


@dataclass(frozen=True)
class ModelSettings:
    """Settings of a model besides its towers.

    Attributes:
        num_class: The number of individuals.
        feature_dim: The length of f, the feature before the projection.
        projected_dim: The length of f_proj; 0 = the encoder gives f only.
        neck_feat: Whether test features are taken 'before' or 'after' the necks.
        activation: The activation of the encoders, one of ``towers.ACTIVATIONS``.
        grid: (rows, columns) of positions in the image encoder.
        side: The numbers of (cameras, views) with an embedding (SIE; TransReID, He et al., 2021,
            section 3.3); 0 = the label is not used.
        side_factor: The weight of these embeddings, λ in the paper.
        notes: What a checkpoint notes of an encoder of timm, instead of activation and positions;
            empty for CLIP's.
        cosine: Whether classifiers give cosines, for CosFace, and not logits.
    """

    num_class: int
    feature_dim: int
    projected_dim: int
    neck_feat: str
    activation: str
    grid: tuple[int, int]
    side: tuple[int, int]
    side_factor: float
    notes: tuple[tuple[str, str], ...] = ()
    cosine: bool = False


def side_rows(side: tuple[int, int]) -> int:
    """Return the number of embeddings of (cameras, views): one per pair."""
    return max(1, side[0]) * max(1, side[1]) if any(side) else 0


class ReIDModel(nn.Module):
    """The model; see :meth:`forward`. Built by :func:`make_model` and :func:`make_test_model`.

    Args:
        image_encoder: Returns (f_last, f, f_proj), see ``towers``, or (f,), see ``timm_model``.
        text_encoder: None in a base variant.
        settings: The sizes of the heads, and what checkpoints note.
        sentence: The sentence of the prompts; None in a base variant.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        text_encoder: TextEncoder | None,
        settings: ModelSettings,
        sentence: Sentence | None = None,
    ):
        super().__init__()
        self.settings, self.side = settings, settings.side
        self.activation, self.neck_feat = settings.activation, settings.neck_feat
        self.num_class, self.feature_dim = settings.num_class, settings.feature_dim
        self.cv_embed: nn.Parameter | None = None
        if any(self.side):
            self.cv_embed = nn.Parameter(
                nn.init.trunc_normal_(torch.empty(side_rows(self.side), self.feature_dim), std=0.02)
            )
        make_classifier = CosineLinear if settings.cosine else Linear
        self.classifier = make_classifier(self.feature_dim, self.num_class, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        if settings.projected_dim:
            self.classifier_proj = make_classifier(
                settings.projected_dim, self.num_class, bias=False
            )
            nn.init.normal_(self.classifier_proj.weight, std=0.001)
        self.bottleneck = nn.BatchNorm1d(self.feature_dim)
        if settings.projected_dim:
            self.bottleneck_proj = nn.BatchNorm1d(settings.projected_dim)
        for neck, _ in self._heads:
            neck.bias.requires_grad_(False)  # the bias stays 0 (BNNeck, Luo et al., 2019)
        self.image_encoder = image_encoder
        self.has_prompts = sentence is not None
        if sentence is not None and text_encoder is not None:
            self.prompt_learner = PromptLearner(self.num_class, sentence)
            self.text_encoder = text_encoder.requires_grad_(False)  # frozen in both stages
            # CLIP reads a sentence at the first position of the largest id
            self.end = int(sentence.tokens.argmax())
        # if there are several processes: (B, D) of each -> (world · B, D), before necks and losses
        self.gather: Callable[[Tensor], Tensor] | None = None

    @property
    def _heads(self) -> list[tuple[nn.BatchNorm1d, nn.Module]]:
        """The neck and the classifier of f and, if the encoder gives it, of f_proj."""
        heads: list[tuple[nn.BatchNorm1d, nn.Module]] = [(self.bottleneck, self.classifier)]
        if self.settings.projected_dim:
            heads.append((self.bottleneck_proj, self.classifier_proj))
        return heads

    @property
    def about(self) -> dict[str, str]:
        """What a checkpoint notes besides the weights, for ``utils.checkpoint.save_state``."""
        if self.settings.notes:
            return dict(self.settings.notes)
        about = {
            'activation': self.activation,
            'side': '{},{}'.format(*self.side),
            'positions': '{}x{}'.format(*self.settings.grid),
        }
        if any(self.side):
            about['sie_coe'] = str(float(self.settings.side_factor))
        return about

    def train(self, mode: bool = True) -> 'ReIDModel':
        """Set the mode of all parts; frozen batch norms of the image encoder keep theirs."""
        super().train(mode)
        keep_frozen_statistics(self.image_encoder)
        return self

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
            get_image: Whether to return only the projected image features (B, E), without side
                information.
            get_text: Whether to return only the text features (B, E) of ``label``.
            cam_label: (B,) cameras.
            view_label: (B,) views.

        Returns:
            In training: ([score, score_proj] (B, classes), [f_last, f, f_proj], f_proj), for the
            photos of all processes. In evaluation: the test feature f ‖ f_proj (B, D + E).
            With an encoder of timm: ([score], [f], f), and f (B, D).
        """
        if get_text:
            assert label is not None, 'text features are those of individuals'
            return self.sentence_encoder()(label)
        if get_image:
            return self.image_encoder(x)[2]
        features = self.image_encoder(x, self._side_information(cam_label, view_label))
        if self.training and self.gather:  # one message for all three
            lengths = [feature.shape[1] for feature in features]
            features = self.gather(torch.cat(features, dim=1)).split(lengths, dim=1)
        heads = self._heads
        tested = features[-len(heads) :]  # without CLIP's f_last
        if self.training:
            pairs = zip(heads, tested, strict=True)
            scores = [classifier(neck(f)) for (neck, classifier), f in pairs]
            return scores, list(features), features[-1]
        if self.neck_feat == 'after':
            tested = [neck(f) for (neck, _), f in zip(heads, tested, strict=True)]
        return torch.cat(list(tested), dim=1)

    def sentence_encoder(self) -> Callable[[Tensor], Tensor]:
        """Return a function of individuals (B,) to their text features (B, E).

        Use it for many calls with the current weights: the words before the learned ones are
        encoded only once, here. Gradients reach the learned words.
        """
        with torch.no_grad():
            start = self.text_encoder.start(self.prompt_learner.token_prefix)
        return lambda labels: self.text_encoder(self.prompt_learner(labels, self.end), start)

    def _side_information(self, cameras: Tensor | None, views: Tensor | None) -> Tensor | None:
        index = cameras if self.side[0] else views
        if all(self.side):
            index = None if cameras is None or views is None else cameras * self.side[1] + views
        if self.cv_embed is None or index is None:
            return None
        return self.settings.side_factor * self.cv_embed[index]  # (B, D)

    def changed_names(self, stage: int) -> list[str]:
        """Return the names of the weights that training has changed by the end of stage 1 or 2."""
        if stage == 1:
            return ['prompt_learner.cls_ctx'] if self.has_prompts else []
        frozen = ('text_encoder.', 'prompt_learner.token_')
        return [name for name in self.state_dict() if not name.startswith(frozen)]

    def load_param(self, path: str | Path) -> None:
        """Load a trained model of the same shapes, saved here or by the original.

        Raises:
            InputError: It cannot be read or does not match; nothing is loaded.
        """
        state = load_state(path)
        check_state(state, self.state_dict(), path)
        self.load_state_dict(state)
