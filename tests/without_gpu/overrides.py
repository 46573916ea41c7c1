"""Overrides that several tests use."""

BASE = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0)
CENTER = ('MODEL.METRIC_LOSS_TYPE', 'triplet_center')
