"""Configs of the base variants."""

from configs import load_cfg

BASE = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0)


def config(world, name, *opts):
    return load_cfg(world.yml(name), [str(word) for word in opts])
