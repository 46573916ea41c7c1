"""The one exception for what the user can mend: a file, a list, a key, a weight."""
import logging
import sys


class InputError(Exception):
    """Bad input. The message is one line: what, where, what is allowed, what to do."""


def exit_code(main, *errors):
    """Run ``main()`` as a command and return its exit code.

    0; 2 after bad input (``InputError`` or one of ``errors``, say ``configs.ConfigError``), told in one line on
    stderr and, where a log file is open, in the log; 130 after Ctrl-C.
    """
    try:
        main()
    except (InputError, *errors) as error:
        line = ' '.join(str(error).split())
        sys.stderr.write(f'error: {line}\n')
        for handler in logging.getLogger('transreid').handlers:
            if isinstance(handler, logging.FileHandler):
                handler.emit(logging.LogRecord('transreid', logging.ERROR, '', 0, line, None, None))
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        return 130
    return 0
