"""The program of the processes of a group: ``python -m tests.utils.group_program WHAT FOLDER``.

Real groups over gloo. One start of 2 and one of 3 processes do all the checks.
"""

import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch

from tests.forked import start_group
from tests.utils.group_checks import CHECKS
from utils.distributed import several_processes
from utils.errors import InputError, exit_code
from utils.logger import setup_logger
from utils.run.signals import StopRequest


def fails(processes, how):
    """Fail in one process in the way ``how``, while the others wait."""
    last = processes.rank == processes.world_size - 1
    if last and how == 'bug':
        raise KeyError('a bug')
    if last and how == 'killed':
        os.kill(os.getpid(), 9)
    if last and how in ('input', 'hang'):
        raise InputError('a.png cannot be read')
    if processes.main and how in ('first', 'late'):
        if how == 'late':
            time.sleep(1)  # the others are done, and wait for the end
        raise InputError('a.png cannot be read')
    if how == 'late':
        return
    if how == 'hang':
        time.sleep(60)
    processes.gather(torch.ones(2))


def program(what, folder):
    """Entry point of each process."""
    torch.set_num_threads(1)
    if what != 'checks':

        def main():
            with several_processes(True, 'gloo', StopRequest()) as processes:
                fails(processes, what)

        return exit_code(main)
    warnings.simplefilter('error')
    setup_logger(quiet=True)
    with several_processes(True, 'gloo', StopRequest()) as processes:
        for name, function in CHECKS.items():
            try:
                function(processes)
                outcome = 'ok'
            except BaseException:
                outcome = traceback.format_exc()
            with open(Path(folder) / f'{processes.rank}.jsonl', 'a') as file:
                file.write(f'{json.dumps([name, outcome])}\n')
            if processes.any(outcome != 'ok'):  # from here on they may be out of step
                return 1
    tasks = Path('/proc/self/task')  # Linux
    left = {
        name
        for task in (tasks.iterdir() if tasks.exists() else ())
        if 'gloo' in (name := (task / 'comm').read_text())
    }
    return f'threads of gloo are left and may abort the process at exit: {left}' if left else 0


def start(zygote, world_size, what, folder):
    """Run this program in ``world_size`` processes; return [(exit code, stdout, stderr)]."""
    program = ('-m', 'tests.utils.group_program', what, folder)
    runs = start_group(zygote, world_size, folder, *program)
    return [(run.wait(), run.out, run.err) for run in runs]


if __name__ == '__main__':
    sys.exit(program(*sys.argv[1:]))
