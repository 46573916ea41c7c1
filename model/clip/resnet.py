"""CLIP's ResNet image tower (Radford et al., 2021), with the three features that CLIP-ReID uses.

Parameter names and shapes are those of OpenAI's files.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.linear import Linear


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions and a shortcut (He et al., 2016, figure 5).

    Strides are average pooling, after the second convolution.
    """

    def __init__(self, inplanes: int, planes: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.stride = stride
        self.downsample = nn.Sequential()
        if stride > 1 or inplanes != planes * 4:
            self.downsample.append(nn.Conv2d(inplanes, planes * 4, 1, bias=False))
            self.downsample.append(nn.BatchNorm2d(planes * 4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inplanes, H, W) -> (B, 4 planes, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        if self.stride > 1:
            x, y = F.avg_pool2d(x, self.stride), F.avg_pool2d(y, self.stride)
        y = self.bn3(self.conv3(y))
        return F.relu(self.downsample(x) + y, inplace=True)


def _stage(inplanes: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inplanes, planes, stride)
    others = [Bottleneck(planes * 4, planes, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *others)


class AttentionPool2d(nn.Module):
    """Attention with one query, the mean of all positions, over that mean and all positions.

    Keys and values are never computed. In every head q · (W x + b) = (Wᵀ q) · x + q · b, and
    Σ a (W x + b) = W (Σ a x) + b because a sums to 1. So the weight matrices multiply one vector
    per head instead of one per position. The softmax cancels q · b; the term is kept so that
    k_proj.bias has a gradient (0) and weight decay applies to it as to every other weight.
    """

    def __init__(self, positions: int, width: int, out_width: int):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions + 1, width) * width**-0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = Linear(width, out_width)
        self.heads = width // 64  # 64 numbers each

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_width)."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding
        q = self._split(self.q_proj(x[:, 0]), 1)  # (B, heads, C / heads)
        key_weight, key_bias = self._split(self.k_proj.weight, 0), self._split(self.k_proj.bias, 0)
        query = torch.einsum('bhd,hdc->bhc', q, key_weight)  # (B, heads, C)
        bias = (q * key_bias).sum(2, keepdim=True)
        score = query @ x.transpose(1, 2) + bias  # (B, heads, 1 + HW)
        mixed = (score * q.shape[2] ** -0.5).softmax(2) @ x  # (B, heads, C)
        weight, bias = self._split(self.v_proj.weight, 0), self._split(self.v_proj.bias, 0)
        return self.c_proj((torch.einsum('bhc,hdc->bhd', mixed, weight) + bias).flatten(1))

    def _split(self, x: Tensor, dimension: int) -> Tensor:
        return x.unflatten(dimension, (self.heads, -1))


class ModifiedResNet(nn.Module):
    """OpenAI's ResNet: a stem of three convolutions, strides by pooling, and an attention pool.

    Args:
        layers: The number of blocks in each of the four stages.
        width: Channels after the stem.
        output_dim: The length of the projected feature.
        grid: (rows, columns) of the last map, H/16 × W/16, as the last stage has stride 1.
    """

    stem = r'(conv|bn)[123]\.'  # names of the parameters before the stages

    def __init__(
        self,
        layers: Sequence[int],
        width: int,
        output_dim: int,
        grid: tuple[int, int],
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(width * 4, width * 2, layers[1], stride=2)
        self.layer3 = _stage(width * 8, width * 4, layers[2], stride=2)
        self.layer4 = _stage(width * 16, width * 8, layers[3], stride=1)
        self.attnpool = AttentionPool2d(grid[0] * grid[1], width * 32, output_dim)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> f_last (B, 16 width), f (B, 32 width), f_proj (B, output_dim).

        ``extra`` exists for the vision transformer; it must be None.
        """
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(bn(conv(x)), inplace=True)
        x = self.layer2(self.layer1(F.avg_pool2d(x, 2)))
        last = self.layer3(x)
        x = self.layer4(last)
        return last.mean((2, 3)), x.mean((2, 3)), self.attnpool(x)
