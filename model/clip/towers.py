"""CLIP's image and text towers (Radford et al. 2021), with the three image features that CLIP-ReID uses.

Parameter names and shapes are those of OpenAI's files. Both image towers return (f_last, f, f_proj): the feature of
the last stage but one, of the last, and its projection into the space shared with the text.
"""
import torch
import torch.nn.functional as F
from torch import nn


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


# ------------------------------------------------------------------------------------------------- ResNet

class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions; where the map shrinks, by average pooling after the second one."""

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
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes * self.expansion, 1, bias=False),
                                            nn.BatchNorm2d(planes * self.expansion))

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
    """One query, the mean of all positions, attends to the mean and all positions."""

    def __init__(self, positions, width, heads, out_width):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions + 1, width) * width ** -0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, out_width)
        self.heads = heads

    def forward(self, x):  # (B, C, H, W) -> (B, out_width)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding  # (B, 1 + HW, C)
        q, k, v = (_heads(p, self.heads) for p in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)))
        return self.c_proj(_join(F.scaled_dot_product_attention(q, k, v)))[:, 0]


class ModifiedResNet(nn.Module):
    """OpenAI's ResNet: a stem of three convolutions, pooled strides, attention pool; layer4 keeps the map's size.

    (B, 3, H, W) -> f_last (B, 16 width), f (B, 32 width), f_proj (B, output_dim); the map is ``grid`` = H/16 × W/16.
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
            planes = width * 2 ** number
            self.add_module(f'layer{number + 1}', nn.Sequential(*(
                Bottleneck(inplanes if i == 0 else planes * 4, planes, stride if i == 0 else 1)
                for i in range(blocks))))
            inplanes = planes * 4
        self.attnpool = AttentionPool2d(grid[0] * grid[1], width * 32, heads, output_dim)

    def forward(self, x, extra=None):
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(bn(conv(x)), inplace=True)
        x = self.layer2(self.layer1(F.avg_pool2d(x, 2)))
        last = self.layer3(x)
        x = self.layer4(last)
        return last.mean((2, 3)), x.mean((2, 3)), self.attnpool(x)


# ------------------------------------------------------------------------------------------------- Transformer

def _heads(x, heads):
    """(B, L, C) -> (B, heads, L, C / heads)"""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _join(x):
    """(B, heads, L, C / heads) -> (B, L, C)"""
    return x.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Multi-head self-attention; optionally only one position asks."""

    def __init__(self, width, heads):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width ** -0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x, causal=False, read=None):  # (B, L, C) -> (B, L, C), or (B, 1, C) for the position `read`
        if read is None:
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=2)
        else:
            width = x.shape[2]
            k, v = F.linear(x, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=2)
            q = F.linear(x[:, read:read + 1], self.in_proj_weight[:width], self.in_proj_bias[:width])
        q, k, v = (_heads(t, self.heads) for t in (q, k, v))
        return self.out_proj(_join(F.scaled_dot_product_attention(q, k, v, is_causal=causal and read is None)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module('c_fc', nn.Linear(width, width * 4))
        self.mlp.add_module('gelu', QuickGELU())
        self.mlp.add_module('c_proj', nn.Linear(width * 4, width))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x, causal=False, read=None):
        asking = x if read is None else x[:, read:read + 1]
        x = asking + self.attn(self.ln_1(x), causal, read)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Pre-norm blocks. Only the position ``read`` is looked at, so the last block is computed for it alone."""

    def __init__(self, width, layers, heads):
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        for block in self.resblocks:  # CLIP's own initialisation
            nn.init.normal_(block.attn.out_proj.weight, std=width ** -0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.attn.out_proj.bias)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width ** -0.5 * (2 * layers) ** -0.5)

    def forward(self, x, read, causal=False):
        """(B, L, C) -> the position ``read`` (B, C) before and after the last block.

        With ``causal``, ``read`` must be the last position: it may look at all others.
        """
        for block in self.resblocks[:-1]:
            x = block(x, causal)
        return x[:, read], self.resblocks[-1](x, causal, read)[:, 0]


class VisionTransformer(nn.Module):
    """(B, 3, H, W) -> f_last (B, width), f (B, width), f_proj (B, output_dim), all of the class token."""

    def __init__(self, patch, stride, width, layers, heads, output_dim, grid):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(width) * width ** -0.5)
        self.positional_embedding = nn.Parameter(torch.randn(grid[0] * grid[1] + 1, width) * width ** -0.5)
        self.proj = nn.Parameter(torch.randn(width, output_dim) * width ** -0.5)
        self.conv1 = nn.Conv2d(3, width, patch, stride=stride, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, heads)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, x, extra=None):
        """``extra`` (B, width): side information, added to the class token."""
        patches = self.conv1(x).flatten(2).transpose(1, 2)  # (B, grid, width)
        token = self.class_embedding.to(patches.dtype).expand(len(x), 1, -1)
        if extra is not None:
            token = token + extra[:, None]
        x = torch.cat([token, patches], dim=1) + self.positional_embedding
        last, x = self.transformer(self.ln_pre(x), read=0)
        x = self.ln_post(x)
        return last, x, x @ self.proj


class TextEncoder(nn.Module):
    """Embedded sentences (B, L, width) -> text features (B, output_dim), read at the position ``end``."""

    def __init__(self, context_length, width, layers, heads, output_dim):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(context_length, width) * 0.01)
        self.text_projection = nn.Parameter(torch.randn(width, output_dim) * width ** -0.5)
        self.transformer = Transformer(width, layers, heads)
        self.ln_final = nn.LayerNorm(width)

    def forward(self, sentences, end):
        # attention is causal: what stands behind the end token cannot reach it
        x = sentences[:, :end + 1] + self.positional_embedding[:end + 1]
        _, x = self.transformer(x, read=end, causal=True)
        return self.ln_final(x) @ self.text_projection
