"""Signals: Ctrl-C, a closed terminal, nohup."""

import os
import signal
import sys

import pytest

import train_clipreid
from tests.utils.run.interrupted import stop_after
from utils.checkpoint import load_tree
from utils.errors import Stopped, exit_code
from utils.run.signals import StopRequest
from utils.torch_errors import translated_errors


def test_ctrl_c(world, monkeypatch, capsys):
    stop_after(monkeypatch, 5, signal.SIGINT)
    monkeypatch.setattr(sys, 'argv', ['train_clipreid.py', *world.args()])
    assert exit_code(train_clipreid.main) == 130
    assert (
        'stopped by SIGINT; to resume training, repeat the command with --resume'
        in capsys.readouterr().err
    )
    state = load_tree(world.output / 'resume.pth', 'x')
    assert (state['stage'], state['epoch'], state['iteration']) == (1, 2, 2)


def test_a_signal_waits_only_where_it_is_asked_to():
    stop = StopRequest()
    with stop.listening():
        with pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), signal.SIGINT)
        assert stopped.value.code == 130
        stop.asked = None
        with stop.patiently():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGINT)  # at once: a terminal may send a second one
            stop._since -= 1
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGINT)
            stop.second_interrupt_ends = False
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Stopped) as stopped:
                stop.check()
            assert stopped.value.code == 143 and str(stopped.value).startswith(
                'stopped by SIGTERM; '
            )


def test_a_closed_terminal(world, monkeypatch):
    stop_after(monkeypatch, 8, signal.SIGHUP)
    with pytest.raises(Stopped) as stopped:
        train_clipreid.main(world.args())
    assert (
        stopped.value.code == 129 and load_tree(world.output / 'resume.pth', 'x')['iteration'] == 2
    )


def test_nohup_is_respected():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest().listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.asked is None
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='something else'), translated_errors('X'):
        raise RuntimeError('something else')
