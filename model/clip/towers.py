"""CLIP's transformers (Radford et al., 2021), with the three image features that CLIP-ReID uses.

Parameter names and shapes are those of OpenAI's files. An image tower, here or in ``resnet``,
returns (f_last, f, f_proj): the feature of the second-last stage, the feature of the last stage,
and the projection of the latter into the space shared with text.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.linear import Linear, linear

KeysValues = Sequence[Tensor]  # keys and values, each (B, heads, positions, C / heads)


class QuickGELU(nn.Module):
    """x · σ(1.702 x), the activation of OpenAI's transformers."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation elementwise to ``x`` (any shape)."""
        return x * torch.sigmoid(1.702 * x)


# OpenAI's transformers use quickgelu, most of open_clip's use gelu.
ACTIVATIONS: dict[str, type[nn.Module]] = {'quickgelu': QuickGELU, 'gelu': nn.GELU}


@dataclass(frozen=True)
class TransformerSettings:
    """The sizes of a transformer.

    Attributes:
        width: The length of a position's vector.
        layers: The number of blocks.
        output_dim: The length of the projected feature.
        activation: One of ACTIVATIONS. It has no weights, so a state dict does not show it.
    """

    width: int
    layers: int
    output_dim: int
    activation: str = 'quickgelu'


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017, section 3.2)."""

    def __init__(self, width: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        self.heads = max(1, width // 64)  # heads are 64 wide, as in OpenAI's transformers

    def forward(
        self,
        x: Tensor,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
        past: KeysValues | None = None,
    ) -> Tensor:
        """Return the attended values (B, A, C).

        Args:
            x: (B, L, C), the positions attended to.
            queries: (B, A, C), the attending positions; None = all of ``x``.
            mask: (A, P + L) bool, True where a query may attend; None = everywhere.
            past: Keys and values (1, heads, P, C / heads) of positions before ``x``.
        """
        if queries is None:
            q, k, v = self.project(x, 0, 3)
        else:
            (q,), (k, v) = self.project(queries, 0, 1), self.project(x, 1, 3)
        if past is not None:
            k = torch.cat([past[0].expand(len(x), -1, -1, -1), k], dim=2)
            v = torch.cat([past[1].expand(len(x), -1, -1, -1), v], dim=2)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def project(self, x: Tensor, first: int, last: int) -> Sequence[Tensor]:
        """Project x (B, L, C) to queries (0), keys (1) and values (2): ``first`` to ``last`` - 1.

        Each result is (B, heads, L, C / heads).
        """
        rows = slice(first * x.shape[2], last * x.shape[2])
        projected = linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        parts = projected.chunk(last - first, dim=2)
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]


class Block(nn.Module):
    """Attention and a two-layer perceptron of four times the width, each after a layer norm."""

    def __init__(self, width: int, activation: str):
        super().__init__()
        self.attn = Attention(width)
        self.ln_1 = nn.LayerNorm(width)
        layers = OrderedDict(
            c_fc=Linear(width, width * 4),
            gelu=ACTIVATIONS[activation](),
            c_proj=Linear(width * 4, width),
        )
        self.mlp = nn.Sequential(layers)
        self.ln_2 = nn.LayerNorm(width)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        past: KeysValues | None = None,
        position: int | None = None,
    ) -> Tensor:
        """(B, L, C) -> (B, L, C); for ``mask`` and ``past`` see :class:`Attention`.

        With ``position``, compute only the output there (B, 1, C); it attends to all of x and
        ``past``.
        """
        if position is None:
            x = x + self.attn(self.ln_1(x), mask=mask, past=past)
        else:
            normed, here = self.ln_1(x), slice(position, position + 1)
            x = x[:, here] + self.attn(normed, queries=normed[:, here], past=past)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Blocks. Only one position of the output is used, so the last block computes only that one."""

    def __init__(self, settings: TransformerSettings):
        super().__init__()
        width, layers = settings.width, settings.layers
        blocks = [Block(width, settings.activation) for _ in range(layers)]
        self.resblocks = nn.Sequential(*blocks)
        for block in blocks:  # CLIP's own initialisation
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.attn.out_proj.bias)
            nn.init.normal_(block.mlp.get_parameter('c_fc.weight'), std=(2 * width) ** -0.5)
            nn.init.normal_(
                block.mlp.get_parameter('c_proj.weight'), std=width**-0.5 * (2 * layers) ** -0.5
            )

    def forward(
        self,
        x: Tensor,
        position: int,
        mask: Tensor | None = None,
        past: Sequence[KeysValues] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return one position (B, C) before and after the last block.

        Args:
            x: (B, L, C).
            position: The one to return; it attends to all others.
            mask: (L, P + L) bool, True where a position may attend; None = everywhere.
            past: For each block the keys and values of positions before ``x``, from
                :meth:`keys_values`.
        """
        earlier: Sequence[KeysValues | None] = past or [None] * len(self.resblocks)
        for block, keys_values in zip(self.resblocks[:-1], earlier):
            x = block(x, mask, keys_values)
        before = x[:, position]
        return before, self.resblocks[-1](x, past=earlier[-1], position=position)[:, 0]

    def keys_values(self, x: Tensor, mask: Tensor) -> list[KeysValues]:
        """Return the keys and values (B, heads, L, C / heads) of x (B, L, C) in every block."""
        pairs = []
        for block in cast(Iterable[Block], self.resblocks):
            pairs.append(block.attn.project(block.ln_1(x), 1, 3))
            x = block(x, mask)
        return pairs


class VisionTransformer(nn.Module):
    """CLIP's vision transformer; its features are those of the class token.

    Args:
        patch: The side of a patch in pixels.
        stride: (rows, columns) in pixels from one patch to the next.
        grid: (rows, columns) of the patches.
        settings: The sizes of the transformer.
    """

    # names of the parameters before the first block
    stem = r'(class_embedding|positional_embedding|conv1\.|ln_pre\.)'

    def __init__(
        self,
        patch: int,
        stride: tuple[int, int],
        grid: tuple[int, int],
        settings: TransformerSettings,
    ):
        super().__init__()
        width = settings.width
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(
            torch.randn(grid[0] * grid[1] + 1, width) * width**-0.5
        )
        self.proj = nn.Parameter(torch.randn(width, settings.output_dim) * width**-0.5)
        self.conv1 = nn.Conv2d(3, width, patch, stride=stride, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(settings)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> f_last (B, width), f (B, width), f_proj (B, output_dim).

        ``extra`` (B, width) is side information, which is added to the class token.
        """
        patches = self.conv1(x).flatten(2).transpose(1, 2)  # (B, grid, width)
        # shape[0], not len(x): torch.export makes the latter a constant of its graph
        token = self.class_embedding.to(patches.dtype).expand(x.shape[0], 1, -1)
        if extra is not None:
            token = token + extra[:, None]
        x = torch.cat([token, patches], dim=1) + self.positional_embedding
        last, x = self.transformer(self.ln_pre(x), position=0)
        x = self.ln_post(x)
        return last, x, linear(x, self.proj.t())


class TextEncoder(nn.Module):
    """Embedded words -> text feature, read at the last word.

    Attention is causal. Words after the end token therefore change nothing and are skipped. The
    words that begin every sentence have the same keys and values in all of them: :meth:`start`
    computes these once.
    """

    def __init__(self, context_length: int, settings: TransformerSettings):
        super().__init__()
        width = settings.width
        self.positional_embedding = nn.Parameter(torch.randn(context_length, width) * 0.01)
        self.text_projection = nn.Parameter(torch.randn(width, settings.output_dim) * width**-0.5)
        self.transformer = Transformer(settings)
        self.ln_final = nn.LayerNorm(width)

    def start(self, words: Tensor) -> list[KeysValues]:
        """Return the keys and values of the words (1, P, width) that begin all sentences."""
        count = words.shape[1]
        x = words + self.positional_embedding[:count]
        return self.transformer.keys_values(x, _causal(count, 0, words.device))

    def forward(self, words: Tensor, start: list[KeysValues]) -> Tensor:
        """Return the text features (B, output_dim) of sentences.

        Args:
            words: (B, L, width), the rest of each sentence, up to and including its end token.
            start: The words before them, from :meth:`start`.
        """
        count, before = words.shape[1], start[0][0].shape[2]
        x = words + self.positional_embedding[before : before + count]
        mask = _causal(count, before, words.device)
        _, x = self.transformer(x, position=count - 1, mask=mask, past=start)
        return linear(self.ln_final(x), self.text_projection.t())


def _causal(count: int, before: int, device: torch.device) -> Tensor:
    """Return the mask (count, before + count): a position attends to itself and all before it."""
    return torch.ones(count, before + count, dtype=torch.bool, device=device).tril(before)
