"""Golden losses and their configs."""

from types import SimpleNamespace


def config(
    *,
    metric='triplet',
    center='no',
    sampler='softmax_triplet',
    smooth='on',
    no_margin=False,
    margin=0.3,
    weights=(1.0, 1.0, 1.0),
    center_weight=5e-4,
    id_loss='softmax',
    distance='euclidean',
):
    return SimpleNamespace(
        MODEL=SimpleNamespace(
            ID_LOSS_TYPE=id_loss,
            METRIC_LOSS_TYPE=metric,
            TRIPLET_DISTANCE=distance,
            IF_WITH_CENTER=center,
            IF_LABELSMOOTH=smooth,
            NO_MARGIN=no_margin,
            ID_LOSS_WEIGHT=weights[0],
            TRIPLET_LOSS_WEIGHT=weights[1],
            I2T_LOSS_WEIGHT=weights[2],
        ),
        DATALOADER=SimpleNamespace(SAMPLER=sampler),
        SOLVER=SimpleNamespace(
            MARGIN=margin,
            STAGE2=SimpleNamespace(
                CENTER_LOSS_WEIGHT=center_weight,
                CENTER_LR=0.5,
                COSINE_SCALE=16,
                COSINE_MARGIN=0.4,
            ),
        ),
    )
