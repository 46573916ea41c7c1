"""Helpers of the tests of cards."""

import hashlib
import json
import re

NO_PAGE = ('TEST.REPORT', 'False')  # report.html is not looked at here


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(folder):
    return json.loads((folder / 'card.json').read_text())


def check_tables(text):
    """Every row of a table has as many cells as its head, and no table ends early."""
    tables = [block.splitlines() for block in text.split('\n\n') if block.startswith('|')]
    assert len(tables) >= 4
    for lines in tables:
        assert {len(re.findall(r'(?<!\\)\|', line)) for line in lines} == {lines[1].count('|')}
        assert all(line.startswith('|') and line.endswith('|') for line in lines)
