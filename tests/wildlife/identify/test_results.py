"""Lines about the answers."""

from pathlib import Path

from wildlife.identify.results import recorded_line


def test_a_command_can_be_copied_whatever_the_folder_is_called():
    line = recorded_line(Path('my herd'), 2)
    assert line.startswith('2 decisions recorded') and line.endswith("undo 'my herd'")
