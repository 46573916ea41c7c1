"""The screen and the log file: which lines go where."""

import logging

from utils.logger import FILE_ONLY, close_logger, log_to_file, quiet_screen, setup_logger


def test_long_lines_go_to_the_file_alone(tmp_path, capsys):
    logger = setup_logger()
    logger.info('Running with config:\n%s', 'MODEL:', extra=FILE_ONLY)
    logger.info('device %s', 'cpu')
    log_to_file(tmp_path, 'train_log.txt')
    close_logger()
    shown, written = capsys.readouterr().out, (tmp_path / 'train_log.txt').read_text()
    assert 'device cpu' in shown and 'MODEL:' not in shown
    assert 'transreid INFO: Running with config:\nMODEL:\n' in written and 'device cpu' in written


def test_a_quiet_screen_shows_only_what_is_wanted(tmp_path, capsys):
    with quiet_screen(lambda record: record.levelno >= logging.WARNING):
        logger = setup_logger()
        log_to_file(tmp_path, 'train_log.txt')
        logger.info('an epoch')
        logger.warning('a photo is missing')
    logger.info('afterwards')
    close_logger()
    shown, written = capsys.readouterr().out, (tmp_path / 'train_log.txt').read_text()
    assert 'a photo is missing' in shown and 'afterwards' in shown and 'an epoch' not in shown
    assert 'an epoch' in written
