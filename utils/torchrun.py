"""What torchrun tells each process that it starts, by variables of the environment."""

import os
from typing import NamedTuple

from utils.errors import InputError

COMMAND = 'torchrun --nproc_per_node 2 train_clipreid.py --config_file … MODEL.DIST_TRAIN True'
VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


class Member(NamedTuple):
    """Which of the processes this one is, and where all meet."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    address: tuple[str, int]


def read_torchrun() -> Member:
    """What the environment says.

    Raises:
        InputError: variables are missing, no numbers, or contradict each other.
    """
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise InputError(
            'MODEL.DIST_TRAIN True needs processes that torchrun has started '
            f'({", ".join(missing)} not in the environment): {COMMAND}; or set it to False'
        )
    try:
        rank, world_size, local_rank, local_world_size, port = (
            int(os.environ[name]) for name in VARIABLES if name != 'MASTER_ADDR'
        )
    except ValueError:
        raise InputError(
            f'{", ".join(VARIABLES)} in the environment must be numbers, but for the address: '
            f'let torchrun set them: {COMMAND}'
        ) from None
    if not (0 <= rank < world_size and 0 <= local_rank < local_world_size <= world_size):
        raise InputError(
            f'RANK {rank}, WORLD_SIZE {world_size}, LOCAL_RANK {local_rank}, LOCAL_WORLD_SIZE '
            f'{local_world_size} of the environment contradict each other; let torchrun set '
            f'them: {COMMAND}'
        )
    address = os.environ['MASTER_ADDR'], port
    return Member(rank, world_size, local_rank, local_world_size, address)
