"""Bad input as commands meet it: one line on stderr, exit code 2."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.bad_input.inputs import break_photo, nothing_written, write_evil
from tests.helpers import ROOT
from utils.checkpoint import load_state


def test_command_with_an_unknown_key(world, zygote):
    done = zygote.finish('train_clipreid.py', *world.args('MODEL.NANE', 'RN50'))
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr == 'error: command line: unknown key MODEL.NANE; did you mean MODEL.NAME?\n'


def test_command_with_a_broken_photo(world, zygote):
    photo = world.folder / 'photos' / 'train' / '2' / '1.png'
    break_photo(photo, 'truncated')
    done = zygote.finish('train_clipreid.py', *world.args('DATALOADER.NUM_WORKERS', 1))
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: {photo}: ') and done.stderr.count('\n') == 1
    assert 'Traceback' not in done.stdout
    nothing_written(world)


def test_command_with_an_evil_pickle(world, zygote):
    weight, victim = world.folder / 'evil.pth', world.folder / 'victim'
    write_evil(weight, 'pickle', victim)
    done = zygote.finish('test_clipreid.py', *world.args('TEST.WEIGHT', weight))
    assert done.returncode == 2
    assert done.stderr.startswith('error: TEST.WEIGHT: ') and done.stderr.count('\n') == 1
    assert not victim.exists()
    nothing_written(world)


KILL = textwrap.dedent('''
    """Many times: save over a checkpoint in a child, kill it at a random moment, read the file."""
    import os, random, signal, sys, time
    import torch
    from utils.checkpoint import load_state, save_state
    path, tries = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    def state(number):
        return {f'layer{i}.weight': torch.full((200_000,), float(number)) for i in range(4)}
    save_state(state(0), path)
    unfinished = 0
    for attempt in range(tries):
        hang = attempt < 2  # these two are surely killed within a write
        child = os.fork()
        if child == 0:
            if hang:
                os.fsync = lambda handle: time.sleep(60)  # nothing is on the disk yet
            number = int(load_state(path)['layer0.weight'][0])
            while True:
                number += 1
                save_state(state(number), path)
        time.sleep(0.2 if hang else random.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        loaded = load_state(path)  # whole, and of one moment
        values = {float(value) for tensor in loaded.values() for value in tensor.unique()}
        assert len(loaded) == 4 and len(values) == 1, values
        assert not hang or values == {0.0}, values
        unfinished += sum(name.startswith('.tmp-') for name in os.listdir(os.path.dirname(path)))
    print(unfinished)
''')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills a forked process')
def test_kill_9_during_a_checkpoint_write_leaves_the_previous_one_readable(tmp_path, zygote):
    path = tmp_path / 'RN50_10.pth'
    done = zygote.finish('-c', KILL, path, 25)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2  # unfinished files that the killed ones left
    assert len(load_state(path)) == 4


def test_a_reader_that_has_ended():
    """python tools/… | head: no traceback."""
    code = (
        'import sys; from utils.errors import exit_code; sys.exit(exit_code(lambda: '
        "[print('x' * 99) for _ in range(9999)]))"
    )
    program = subprocess.Popen(
        [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.read(10)
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert (said, program.returncode) == (b'', 141)
