"""The re-identification model: CLIP's image encoder with two necks and classifiers, learned
prompts, text encoder.

Li, Sun, Li, "CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without
Concrete Text Labels", AAAI 2023. State-dict names and shapes are those of the original
implementation, also of its baseline: a base variant has neither prompts nor text encoder.
"""

from typing import NamedTuple

import torch
from torch import nn

from model.prompt import PromptLearner
from utils.checkpoint import check_state, load_state
from utils.linear import Linear


class Sentence(NamedTuple):
    """The sentence of the prompts: ``prefix`` (1, p, width) and ``suffix`` (1, 73 − p, width) are
    the words around the four learned ones, ``tokens`` (1, 77) the ids of all.
    """

    prefix: torch.Tensor
    suffix: torch.Tensor
    tokens: torch.Tensor


class ReIDModel(nn.Module):
    """See :meth:`forward`. Built by :func:`make_model` and :func:`make_test_model`.

    ``side`` = (cameras, views) that have a side-information embedding (SIE, TransReID, He et al.
    2021); a 0 leaves that label out, (0, 0) means none. ``sentence``, ``text_encoder``: None in a
    base variant. ``activation`` is that of the encoders, one of ``towers.ACTIVATIONS``, ``grid``
    the (rows, columns) of the image encoder's positions.
    """

    def __init__(
        self,
        image_encoder,
        text_encoder,
        feature_dims,
        num_class,
        sentence=None,
        *,
        neck_feat='after',
        side=(0, 0),
        side_factor=3.0,
        activation='quickgelu',
        grid=(0, 0),
    ):
        super().__init__()
        dim, dim_proj = feature_dims
        self.side, self.side_factor, self.neck_feat, self.activation, self.grid = (
            side,
            side_factor,
            neck_feat,
            activation,
            grid,
        )
        if any(side):
            self.cv_embed = nn.Parameter(
                nn.init.trunc_normal_(torch.empty(max(1, side[0]) * max(1, side[1]), dim), std=0.02)
            )
        self.classifier = _classifier(dim, num_class)
        self.classifier_proj = _classifier(dim_proj, num_class)
        self.bottleneck = _neck(dim)
        self.bottleneck_proj = _neck(dim_proj)
        self.image_encoder = image_encoder
        self.has_prompts = sentence is not None
        if self.has_prompts:
            self.prompt_learner = PromptLearner(num_class, sentence.prefix, sentence.suffix)
            self.text_encoder = text_encoder.requires_grad_(False)  # CLIP's own in both stages
            self.tokenized_prompts = sentence.tokens
            self.end = int(
                sentence.tokens.argmax()
            )  # CLIP reads a sentence at the first position of the largest id
        # of several processes: (B, D) of each -> (world · B, D), before what looks at the whole
        # batch
        self.gather = None

    @property
    def num_class(self):
        return len(self.classifier.weight)

    @property
    def feature_dim(self):
        """Length of f, the feature before the projection."""
        return self.classifier.in_features

    @property
    def about(self):
        """What a checkpoint must say of the model besides its weights, for
        ``utils.checkpoint.save_state``.
        """
        about = {
            'activation': self.activation,
            'side': f'{self.side[0]},{self.side[1]}',
            'positions': f'{self.grid[0]}x{self.grid[1]}',
        }
        return about | {'sie_coe': str(float(self.side_factor))} if any(self.side) else about

    def forward(
        self, x=None, label=None, get_image=False, get_text=False, cam_label=None, view_label=None
    ):
        """Photos ``x`` (B, 3, H, W), individuals, cameras and views (B,) int64.

        - ``get_text``: text features (B, E) of the individuals ``label``; not of a base variant.
        - ``get_image``: projected image features (B, E), without side information.
        - training: ([score, score_proj] (B, classes), [f_last, f, f_proj], f_proj); of several
          processes, of all their photos.
        - evaluation: the test feature f ‖ f_proj (B, D + E), before or after the necks.
        """
        if get_text:
            return self.sentence_encoder()(label)
        if get_image:
            return self.image_encoder(x)[2]
        f_last, f, f_proj = self.image_encoder(x, self._side_information(cam_label, view_label))
        if self.training and self.gather:  # one message for the three
            f_last, f, f_proj = self.gather(torch.cat([f_last, f, f_proj], dim=1)).split(
                [f_last.shape[1], f.shape[1], f_proj.shape[1]], dim=1
            )
        if self.training:
            scores = [
                self.classifier(self.bottleneck(f)),
                self.classifier_proj(self.bottleneck_proj(f_proj)),
            ]
            return scores, [f_last, f, f_proj], f_proj
        if self.neck_feat == 'after':
            f, f_proj = self.bottleneck(f), self.bottleneck_proj(f_proj)
        return torch.cat([f, f_proj], dim=1)

    def sentence_encoder(self):
        """A function of individuals (B,) to their text features (B, E), for many calls with the
        weights as they are now.

        The words before the learned ones are computed here, once. Gradients reach the learned
        words.
        """
        with torch.no_grad():
            start = self.text_encoder.start(self.prompt_learner.token_prefix)
        return lambda labels: self.text_encoder(self.prompt_learner(labels, self.end), start)

    def _side_information(self, cam_label, view_label):
        cameras, views = self.side
        index = None
        if cameras and views:
            if cam_label is not None and view_label is not None:
                index = cam_label * views + view_label
        elif cameras:
            index = cam_label
        elif views:
            index = view_label
        return None if index is None else self.side_factor * self.cv_embed[index]

    def changed_names(self, stage):
        """Names of the state dict's tensors that training has changed by the end of ``stage`` (1 or
        2).
        """
        frozen = ('text_encoder.', 'prompt_learner.token_')
        return [
            name
            for name in self.state_dict()
            if (name == 'prompt_learner.cls_ctx' if stage == 1 else not name.startswith(frozen))
        ]

    def load_param(self, path):
        """Load a trained model of the same shapes, from here or from the original. Checked whole
        first.
        """
        state = load_state(path)
        check_state(state, self.state_dict(), path)
        self.load_state_dict(state)


def _classifier(dim, num_class):
    layer = Linear(dim, num_class, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return layer


def _neck(dim):
    """BNNeck (Luo et al. 2019): its bias stays 0."""
    layer = nn.BatchNorm1d(dim)
    layer.bias.requires_grad_(False)
    return layer
