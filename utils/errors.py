"""The one exception for what the user can mend: a file, a list, a key, a weight."""
import sys


class InputError(Exception):
    """Bad input. The message is one line: what, where, what is allowed, what to do."""


def exit_code(main, *errors):
    """Run ``main()`` as a command and return its exit code.

    0; 2 after bad input (``InputError`` or one of ``errors``, say ``configs.ConfigError``), told in one line on
    stderr; 130 after Ctrl-C.
    """
    try:
        main()
    except (InputError, *errors) as error:
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        return 130
    return 0
