"""File-system errors."""

import os


def fails_with(number):
    def call(*_, **__):
        raise OSError(number, os.strerror(number))

    return call
