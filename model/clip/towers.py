"""CLIP's image and text towers (Radford et al. 2021), with the three image features that CLIP-ReID
uses.

Parameter names and shapes are those of OpenAI's files. Both image towers return (f_last, f,
f_proj): the feature of the last stage but one, of the last, and its projection into the space
shared with the text.
"""

import torch
import torch.nn.functional as F
from torch import nn

from utils.linear import Linear, linear


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {
    'quickgelu': QuickGELU,
    'gelu': nn.GELU,
}  # of OpenAI's transformers; of most of open_clip's


# ------------------------------------------------------------------------------------------ ResNet


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions; where the map shrinks, by average pooling after the second
    one.
    """

    expansion = 4

    def __init__(self, inplanes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.stride = stride
        self.downsample = None
        if stride > 1 or inplanes != planes * self.expansion:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes * self.expansion, 1, bias=False),
                nn.BatchNorm2d(planes * self.expansion),
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        if self.stride > 1:
            x, y = F.avg_pool2d(x, self.stride), F.avg_pool2d(y, self.stride)
        y = self.bn3(self.conv3(y))
        if self.downsample is not None:
            x = self.downsample(x)
        return F.relu(x + y, inplace=True)


class AttentionPool2d(nn.Module):
    """One query, the mean of all positions, attends to the mean and all positions.

    So no key and no value is needed: in every head q · (W x + b) = (Wᵀ q) · x + q · b and Σ a (W x
    + b) = W (Σ a x) + b, where a sums to 1, and the weights meet one vector a head instead of every
    position. The softmax cancels q · b; it stays so that k_proj.bias has a gradient, of 0, and
    decays like every other weight.
    """

    def __init__(self, positions, width, heads, out_width):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions + 1, width) * width**-0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = Linear(width, out_width)
        self.heads = heads

    def forward(self, x):  # (B, C, H, W) -> (B, out_width)
        x = x.flatten(2).transpose(1, 2)
        x = (
            torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding
        )  # (B, 1 + HW, C)
        q = self._split(self.q_proj(x[:, 0]), 1)  # (B, heads, C / heads)
        key_weight, key_bias = self._split(self.k_proj.weight, 0), self._split(self.k_proj.bias, 0)
        query = torch.einsum('bhd,hdc->bhc', q, key_weight)  # (B, heads, C)
        score = query @ x.transpose(1, 2) + (q * key_bias).sum(
            2, keepdim=True
        )  # (B, heads, 1 + HW)
        mixed = (score * q.shape[2] ** -0.5).softmax(2) @ x  # (B, heads, C)
        value_weight, value_bias = (
            self._split(self.v_proj.weight, 0),
            self._split(self.v_proj.bias, 0),
        )
        return self.c_proj(
            (torch.einsum('bhc,hdc->bhd', mixed, value_weight) + value_bias).flatten(1)
        )

    def _split(self, x, dimension):
        return x.unflatten(dimension, (self.heads, -1))


class ModifiedResNet(nn.Module):
    """OpenAI's ResNet: a stem of three convolutions, pooled strides, attention pool; layer4 keeps
    the map's size.

    (B, 3, H, W) -> f_last (B, 16 width), f (B, 32 width), f_proj (B, output_dim); the map is
    ``grid`` = H/16 × W/16.
    """

    def __init__(self, layers, width, output_dim, heads, grid):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        inplanes = width
        for number, (blocks, stride) in enumerate(zip(layers, (1, 2, 2, 1), strict=True)):
            planes = width * 2**number
            self.add_module(
                f'layer{number + 1}',
                nn.Sequential(
                    *(
                        Bottleneck(
                            inplanes if i == 0 else planes * 4, planes, stride if i == 0 else 1
                        )
                        for i in range(blocks)
                    )
                ),
            )
            inplanes = planes * 4
        self.attnpool = AttentionPool2d(grid[0] * grid[1], width * 32, heads, output_dim)

    def forward(self, x, extra=None):
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(bn(conv(x)), inplace=True)
        x = self.layer2(self.layer1(F.avg_pool2d(x, 2)))
        last = self.layer3(x)
        x = self.layer4(last)
        return last.mean((2, 3)), x.mean((2, 3)), self.attnpool(x)


# ------------------------------------------------------------------------------------- Transformer


def _heads(x, heads):
    """(B, L, C) -> (B, heads, L, C / heads)"""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _join(x):
    """(B, heads, L, C / heads) -> (B, L, C)"""
    return x.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Multi-head self-attention, keys and values of earlier positions may be given."""

    def __init__(self, width, heads):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        self.heads = heads

    def forward(self, x, asking=None, mask=None, past=None):
        """x (B, L, C); ``asking`` (B, A, C): the positions that ask, None = all of x; ``mask`` (A,
        P + L) bool: who sees whom; ``past``: keys and values (1, heads, P, C / heads) of positions
        before x. Returns (B, A, C).
        """
        if asking is None:
            q, k, v = self._project(x, 0, 3)
        else:
            q, (k, v) = self._project(asking, 0, 1)[0], self._project(x, 1, 3)
        if past is not None:
            k, v = (
                torch.cat([p.expand(len(x), -1, -1, -1), t], dim=2)
                for p, t in zip(past, (k, v), strict=True)
            )
        return self.out_proj(_join(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)))

    def keys_values(self, x):
        """What :meth:`forward` takes as ``past`` for these positions."""
        return self._project(x, 1, 3)

    def _project(self, x, first, last):
        """Parts ``first`` … ``last`` - 1 of query, key, value: tensors (B, heads, L, C / heads)."""
        rows = slice(first * x.shape[2], last * x.shape[2])
        parts = linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows]).chunk(
            last - first, dim=2
        )
        return [_heads(part, self.heads) for part in parts]


class Block(nn.Module):
    def __init__(self, width, heads, activation):
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module('c_fc', Linear(width, width * 4))
        self.mlp.add_module('gelu', ACTIVATIONS[activation]())
        self.mlp.add_module('c_proj', Linear(width * 4, width))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x, mask=None, past=None):
        return self._rest(x, self.attn(self.ln_1(x), mask=mask, past=past))

    def read(self, x, position, past=None):
        """The block's output at one position that sees all of x and ``past``: (B, 1, C)."""
        normed, here = self.ln_1(x), slice(position, position + 1)
        return self._rest(x[:, here], self.attn(normed, asking=normed[:, here], past=past))

    def _rest(self, x, attended):
        x = x + attended
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Pre-norm blocks. Only one position is read at the end, so the last block is computed for it
    alone.

    ``activation``: one of ACTIVATIONS. It has no weights: a state dict does not tell it.
    """

    def __init__(self, width, layers, heads, activation):
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads, activation) for _ in range(layers)))
        for block in self.resblocks:  # CLIP's own initialisation
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.attn.out_proj.bias)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)

    def forward(self, x, position, mask=None, past=None):
        """(B, L, C) -> ``position`` (B, C) before and after the last block. It must be one that
        sees all others.

        ``past``: for each block the keys and values of positions before x, from
        :meth:`keys_values`; ``mask`` (L, P + L).
        """
        past = past or [None] * len(self.resblocks)
        for block, earlier in zip(self.resblocks[:-1], past):
            x = block(x, mask, earlier)
        return x[:, position], self.resblocks[-1].read(x, position, past[-1])[:, 0]

    def keys_values(self, x, mask):
        """Keys and values (B, heads, L, C / heads) of x (B, L, C) in every block."""
        pairs = []
        for block in self.resblocks:
            pairs.append(block.attn.keys_values(block.ln_1(x)))
            x = block(x, mask)
        return pairs


class VisionTransformer(nn.Module):
    """(B, 3, H, W) -> f_last (B, width), f (B, width), f_proj (B, output_dim), all of the class
    token.
    """

    def __init__(
        self, patch, stride, width, layers, heads, output_dim, grid, activation='quickgelu'
    ):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(
            torch.randn(grid[0] * grid[1] + 1, width) * width**-0.5
        )
        self.proj = nn.Parameter(torch.randn(width, output_dim) * width**-0.5)
        self.conv1 = nn.Conv2d(3, width, patch, stride=stride, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, heads, activation)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, x, extra=None):
        """``extra`` (B, width): side information, added to the class token."""
        patches = self.conv1(x).flatten(2).transpose(1, 2)  # (B, grid, width)
        token = self.class_embedding.to(patches.dtype).expand(len(x), 1, -1)
        if extra is not None:
            token = token + extra[:, None]
        x = torch.cat([token, patches], dim=1) + self.positional_embedding
        last, x = self.transformer(self.ln_pre(x), position=0)
        x = self.ln_post(x)
        return last, x, linear(x, self.proj.t())


class TextEncoder(nn.Module):
    """Embedded words -> text feature, read at the last word.

    Attention is causal. So what stands behind the end token is left away, and the words that all
    sentences begin with have
    the same keys and values in every sentence: :meth:`start` computes them once.
    """

    def __init__(self, context_length, width, layers, heads, output_dim, activation='quickgelu'):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(context_length, width) * 0.01)
        self.text_projection = nn.Parameter(torch.randn(width, output_dim) * width**-0.5)
        self.transformer = Transformer(width, layers, heads, activation)
        self.ln_final = nn.LayerNorm(width)

    def start(self, words):
        """The words (1, P, width) that sentences begin with, as :meth:`forward` takes them."""
        count = words.shape[1]
        return self.transformer.keys_values(
            words + self.positional_embedding[:count], _causal(count, 0, words.device)
        )

    def forward(self, words, start):
        """words (B, L, width): the rest of each sentence up to its end token, after ``start``.
        Returns (B, output_dim).
        """
        count, before = words.shape[1], start[0][0].shape[2]
        x = words + self.positional_embedding[before : before + count]
        _, x = self.transformer(
            x, position=count - 1, mask=_causal(count, before, words.device), past=start
        )
        return linear(self.ln_final(x), self.text_projection.t())


def _causal(count, before, device):
    """(count, before + count) bool: a position sees itself and all before it."""
    return torch.ones(count, before + count, dtype=torch.bool, device=device).tril(before)
