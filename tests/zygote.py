"""A process that has PyTorch loaded and forks our programs, so that one starts in a moment instead
of in seconds.

It says so once. Then requests and answers are JSON lines on stdin and stdout:
{"run": [script, -m or -c, argument, …], "folder": …, "cwd": …, "environment": {…}, "fault": {…} or
null} → pid; its output goes to folder/out and folder/err
{"poll": pid} → exit code (negative: the signal that ended it), or null while it runs
"""

import faulthandler
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def load():
    """All modules of the program: a fork has them at once."""
    for package in ('configs', 'utils', 'datasets', 'loss', 'model', 'processor', 'solver'):
        for module in pkgutil.walk_packages([str(ROOT / package)], f'{package}.'):
            importlib.import_module(module.name)
    import torch

    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # loads a good deal more
    gc.freeze()  # else each fork looks at all of it when it ends, for a second


def resolve(name):
    """(object, attribute) of a dotted name: 'os.fsync', 'torch.amp.GradScaler.step'."""
    *parts, attribute = name.split('.')
    found = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module('.'.join(parts[:number]))
        found = getattr(found, part)
    return found, attribute


def said(arguments):
    """Arguments as text; a file's handle as its path."""
    texts = []
    for argument in arguments:
        try:
            texts.append(
                os.readlink(f'/proc/self/fd/{argument}')
                if type(argument) is int
                else str(argument)[:1000]
            )
        except OSError:
            texts.append('')
    return ' '.join(texts)


def install(fault, folder):
    """Let something happen at a call: ``call`` is its dotted name, ``number`` which one from 1 (of
    those whose arguments hold the text ``about``), ``after`` = once it has returned.

    What happens: the file folder/reached is made; ``cut``: the file of the call's first argument is
    cut in half; ``pause``: the run waits for a file folder/go; ``signal``: is sent to this process.
    """
    parent, attribute = resolve(fault['call'])
    real, main, count = getattr(parent, attribute), os.getpid(), 0

    def strike(arguments):
        (folder / 'reached').touch()
        if fault.get('cut'):
            os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
        while fault.get('pause') and not (folder / 'go').exists():
            time.sleep(0.005)
        if fault.get('signal'):
            dump_stack(folder)
            os.kill(main, fault['signal'])

    @functools.wraps(real)
    def wrapped(*arguments, **named):
        nonlocal count
        mine = os.getpid() == main and fault.get('about', '') in said(arguments)
        count += mine
        now = mine and count == fault['number']
        if now and not fault.get('after'):
            strike(arguments)
        result = real(*arguments, **named)
        if now and fault.get('after'):
            strike(arguments)
        return result

    setattr(parent, attribute, wrapped)


def dump_stack(folder):
    with open(folder / 'stack', 'w', encoding='utf-8') as file:
        faulthandler.dump_traceback(file)


def serve():
    """Answer requests; returns, in a forked run, what is to be run."""
    ended = {}
    print('ready', flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if 'run' in request:
            pid = os.fork()
            if pid == 0:
                return request
            print(json.dumps(pid), flush=True)
            continue
        pid = request['poll']
        if pid not in ended:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
        print(json.dumps(ended.get(pid)), flush=True)
    os._exit(0)


def become(request):
    """What a fresh ``python script.py …`` is: a session and output of its own, the usual answer to
    signals.
    """
    os.setsid()
    folder = Path(request['folder'])
    for number, name in ((1, 'out'), (2, 'err')):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # when Python has ended already
    stack = open(folder / 'stack', 'w')  # noqa: SIM115 as long as the run
    faulthandler.register(
        signal.SIGUSR1, stack, all_threads=False
    )  # a thread that runs meanwhile could crash it
    os.environ.clear()
    os.environ.update(request['environment'])
    os.chdir(request['cwd'])
    if request['fault']:
        install(request['fault'], folder)
    sys.argv = request['run']


def run_main():
    """Run the program that ``sys.argv`` names, as Python's command line does."""
    if sys.argv[0] == '-c':
        exec(sys.argv.pop(1), {'__name__': '__main__'})
    elif sys.argv[0] == '-m':
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
    else:
        runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')


if __name__ == '__main__':
    sys.path[0] = str(ROOT)
    load()
    become(serve())
    run_main()
