"""The exceptions for bad input and stopped runs, and the exit code of a command."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input. The message is one line that says what is wrong, where, and how to fix it."""


class Mismatch(InputError):
    """The checkpoint does not match the config, but it would match the config of its own run."""


class Stopped(BaseException):
    """A signal asked the run to end. Like KeyboardInterrupt, it is not an ``Exception``.

    Attributes:
        code: The program's exit code, 128 + the signal's number: 130 after Ctrl-C, 143 after
            SIGTERM, 129 after the terminal was closed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f'stopped by {signal.Signals(number).name}; to resume training, repeat the command '
            'with --resume'
        )
        self.code = 128 + number


def first_line(error: BaseException | str, length: int = 120) -> str:
    """Return the first line of an error's text, short and printable, for a one-line message.

    Damaged files and strange servers can put anything into such a text.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:length]
    return ''.join(letter if letter.isprintable() else '?' for letter in line)


def escape_output() -> None:
    """From now on, escape characters that the terminal's encoding lacks, as in \\u864e."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if there is no terminal
            stream.reconfigure(errors='backslashreplace')


def exit_code(main: Callable[[], object], *errors: type[Exception]) -> int:
    """Run ``main()`` as a command and return its exit code.

    Args:
        main: The command.
        errors: Exceptions that mean bad input besides ``InputError``, e.g. ``configs.ConfigError``.

    Returns:
        0; 2 after bad input, with one line on stderr; 130 after Ctrl-C; 143 after SIGTERM if
        ``main`` turns it into ``Stopped``; 141 if the reader of the output has ended (``| head``),
        as for the shell's own tools.
    """
    escape_output()
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # Python would flush again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, *errors) as error:  # type: ignore[misc]  # mypy rejects unpacking here
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        return 2
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        if encoding == 'utf-8':
            raise
        sys.stderr.write(
            f'error: the file name {error.object!r} cannot be written in the encoding of this '
            f'locale, {encoding}; set PYTHONUTF8=1 in the environment\n'
        )
        return 2
    except (Stopped, KeyboardInterrupt) as stopped:
        with contextlib.suppress(OSError, AttributeError):  # the terminal may be closed
            sys.stderr.write(f'{str(stopped) or "interrupted"}\n')
        return stopped.code if isinstance(stopped, Stopped) else 130
    return 0
