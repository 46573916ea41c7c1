"""The exception for what the user can fix, a file, a key, a weight; and that of a stopped run."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input. The message is one line: what, where, what is allowed, what to do."""


class Mismatch(InputError):
    """A checkpoint and a config that do not match; the config of the checkpoint's run would."""


class Stopped(BaseException):
    """A signal asked the run to end; like KeyboardInterrupt it is no ``Exception``.

    code: what the program exits with, 128 + the signal's number: 130 after Ctrl-C, 143 after
        SIGTERM, 129 where the terminal was closed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f'stopped by {signal.Signals(number).name}; a training goes on with the same command '
            'and --resume'
        )
        self.code = 128 + number


def first_line(error: BaseException | str, length: int = 120) -> str:
    """What an error says, fit for a message of one line.

    Damaged files and strange servers put anything into it.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:length]
    return ''.join(letter if letter.isprintable() else '?' for letter in line)


def escape_output() -> None:
    """From now on print an escape, as \\u864e, for what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where there is no terminal at all
            stream.reconfigure(errors='backslashreplace')


def exit_code(main: Callable[[], object], *errors: type[Exception]) -> int:
    """Run ``main()`` as a command; no name is too strange to print, see :func:`escape_output`.

    Args:
        main: the command.
        errors: besides ``InputError`` what is bad input, say ``configs.ConfigError``.

    Returns:
        0; 2 after bad input, with one line on stderr; 130 after Ctrl-C; 143 after SIGTERM where
        ``main`` turns that into ``Stopped``; 141, as the shell's own tools, where what reads its
        output has ended (``| head``).
    """
    escape_output()
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # Python would flush again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, *errors) as error:  # type: ignore[misc]  # mypy knows no unpacking here
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        return 2
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        if encoding == 'utf-8':
            raise
        sys.stderr.write(
            f'error: the file name {error.object!r} does not exist in the encoding of this '
            f'locale, {encoding}; set PYTHONUTF8=1 in the environment\n'
        )
        return 2
    except (Stopped, KeyboardInterrupt) as stopped:
        with contextlib.suppress(OSError, AttributeError):  # the terminal may be gone
            sys.stderr.write(f'{str(stopped) or "interrupted"}\n')
        return stopped.code if isinstance(stopped, Stopped) else 130
    return 0
