"""A small grid."""

GRID = {
    'question': 'Does the text help?',
    'seeds': [1, 2],
    'overrides': {'SOLVER.STAGE2.MAX_EPOCHS': 1, 'TEST.REPORT': False},
    'train': {
        'text': {
            'learned': {},
            'none': {'SOLVER.STAGE1.MAX_EPOCHS': 0, 'MODEL.I2T_LOSS_WEIGHT': 0},
        },
    },
}
