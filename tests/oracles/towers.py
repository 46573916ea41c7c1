"""The model in the plain formulation, on the weights of a ReIDModel: every token, every block in
full, every photo's sentence.

What model/clip/towers.py leaves away is computed here. Same arguments, same results to rounding.
"""

import torch
import torch.nn.functional as F


def text_features(model, labels):
    """Text features (B, E): whole sentences of 77 words, one for each of ``labels`` (B,), repeated
    ones again.
    """
    learner, encoder = model.prompt_learner, model.text_encoder
    prefix, suffix = (
        words.expand(len(labels), -1, -1) for words in (learner.token_prefix, learner.token_suffix)
    )
    x = (
        torch.cat([prefix, learner.cls_ctx[labels], suffix], dim=1) + encoder.positional_embedding
    )  # (B, 77, width)
    mask = torch.full((x.shape[1],) * 2, -torch.inf, dtype=x.dtype, device=x.device).triu(1)
    for block in encoder.transformer.resblocks:
        x = _block(block, x, model.activation, mask)
    return encoder.ln_final(x)[:, model.end] @ encoder.text_projection


def image_features(model, images, cam_label=None, view_label=None):
    """(f_last, f, f_proj) of ReIDModel.image_encoder."""
    if hasattr(model.image_encoder, 'attnpool'):
        return _resnet(model.image_encoder, images)
    return _vit(
        model.image_encoder,
        images,
        model._side_information(cam_label, view_label),
        model.activation,
    )


def forward(model, images, cam_label=None, view_label=None):
    """Training output of ReIDModel: scores, features, f_proj."""
    features = image_features(model, images, cam_label, view_label)
    scores = [
        F.linear(neck(feature), classifier.weight)
        for neck, classifier, feature in (
            (model.bottleneck, model.classifier, features[1]),
            (model.bottleneck_proj, model.classifier_proj, features[2]),
        )
    ]
    return scores, list(features), features[2]


def test_features(model, images):
    """Test features f ‖ f_proj (B, D) before the necks."""
    return torch.cat(image_features(model, images)[1:], dim=1)


def groups_one_each(optimizer):
    """The groups of an optimizer of ours with every parameter apart, as the original makes them."""
    return [
        {'params': [parameter], 'lr': group['lr'], 'weight_decay': group['weight_decay']}
        for group in optimizer.param_groups
        for parameter in group['params']
    ]


def _resnet(encoder, x):
    for conv, bn in (
        (encoder.conv1, encoder.bn1),
        (encoder.conv2, encoder.bn2),
        (encoder.conv3, encoder.bn3),
    ):
        x = F.relu(bn(conv(x)))
    x = F.avg_pool2d(x, 2)
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3):
        x = _layer(layer, x)
    last, x = x, _layer(encoder.layer4, x)
    return last.mean((2, 3)), x.mean((2, 3)), _attention_pool(encoder.attnpool, x)


def _layer(layer, x):
    for block in layer:
        y = F.relu(block.bn1(block.conv1(x)))
        y = F.relu(block.bn2(block.conv2(y)))
        y = block.bn3(block.conv3(F.avg_pool2d(y, block.stride) if block.stride > 1 else y))
        if block.downsample is not None:
            x = block.downsample(F.avg_pool2d(x, block.stride) if block.stride > 1 else x)
        x = F.relu(x + y)
    return x


def _attention_pool(pool, x):
    """Every position asks; the answer to the mean token is taken."""
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + pool.positional_embedding
    projected = [F.linear(x, p.weight, p.bias) for p in (pool.q_proj, pool.k_proj, pool.v_proj)]
    return F.linear(_attend(*projected, pool.heads), pool.c_proj.weight, pool.c_proj.bias)[:, 0]


def _vit(encoder, images, extra, activation):
    patches = encoder.conv1(images).flatten(2).transpose(1, 2)
    token = encoder.class_embedding.expand(len(images), 1, -1)
    if extra is not None:
        token = token + extra[:, None]
    x = encoder.ln_pre(torch.cat([token, patches], dim=1) + encoder.positional_embedding)
    for block in encoder.transformer.resblocks:
        last, x = x, _block(block, x, activation)
    x = encoder.ln_post(x)
    return last[:, 0], x[:, 0], (x @ encoder.proj)[:, 0]


def _block(block, x, activation, mask=None):
    attention, mlp = block.attn, block.mlp
    q, k, v = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(
        3, dim=2
    )
    x = x + F.linear(
        _attend(q, k, v, attention.heads, mask), attention.out_proj.weight, attention.out_proj.bias
    )
    hidden = F.linear(block.ln_2(x), mlp.c_fc.weight, mlp.c_fc.bias)
    share = (
        torch.sigmoid(1.702 * hidden)
        if activation == 'quickgelu'
        else (1 + torch.erf(hidden / 2**0.5)) / 2
    )
    return x + F.linear(hidden * share, mlp.c_proj.weight, mlp.c_proj.bias)


def _attend(q, k, v, heads, mask=None):
    """softmax(q kᵀ / √d + mask) v in every head: (B, L, C) each -> (B, L, C)."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weight = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
    if mask is not None:
        weight = weight + mask
    return (weight.softmax(3) @ v).transpose(1, 2).flatten(2)
