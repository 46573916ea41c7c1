"""What the logs of a run contain."""

import json


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
