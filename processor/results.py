"""What a test leaves behind: results.json, ranked_lists.csv and ranked_lists.png."""

import csv
import logging
from pathlib import Path
from typing import Any

from datasets.images import read_image
from datasets.make_dataloader_clipreid import TestSet
from datasets.records import individuals
from processor.inference import Result
from utils.files import atomic_write, keep_earlier, write_json
from utils.metrics import distance_text, ranked_gallery
from utils.plots import ranked_lists

logger = logging.getLogger('transreid.test')

COLUMNS = ['query', 'query_label', 'rank', 'photo', 'label', 'distance', 'right']


def write_results(
    folder: Path, test: TestSet, result: Result, facts: dict[str, Any], title: str
) -> None:
    """Write the metrics, the head of every ranking, and a picture of a dozen.

    Args:
        folder: OUTPUT_DIR; earlier results there are kept under a number.
        test: What was tested.
        result: What was found.
        facts: Of the run, for results.json.
        title: Of the picture.
    """
    files = [folder / name for name in ('results.json', 'ranked_lists.png', 'ranked_lists.csv')]
    for file in files:
        keep_earlier(file)
    table, picture, rankings = files
    splits = {'query': test.query, 'gallery': test.gallery}
    results = {
        'metrics': result.metrics,
        'queries_without_positive': result.without_positive,
        'copies_in_gallery': result.copies,
        'trials': len(test.trials),
        'protocol': test.protocol.name,
        'protocol_text': test.protocol.text,
        'counts': {
            name: {'photos': len(records), 'individuals': individuals(records)}
            for name, records in splits.items()
        },
        'data': test.fingerprints,
    }
    write_json(table, results | facts)
    draw_rankings(picture, test, result, title)
    write_rankings(rankings, test, result)
    logger.info('Results: %s, picture: %s, of all queries: %s', table, picture, rankings)


def draw_rankings(
    path: Path, test: TestSet, result: Result, title: str, rows: int = 12, top: int = 10
) -> None:
    """A picture of the first photos of ``rows`` queries, spread evenly over the list."""
    number = min(rows, len(test.query))
    chosen = [row * len(test.query) // number for row in range(number)]
    found = ranked_gallery(result.distance, test.query, test.gallery, test.protocol, chosen, top)
    pictures = []
    for query, indices, matches in zip(chosen, *found, strict=True):
        pairs = zip(indices, matches, strict=True)
        ranked = [(test.gallery[index].path, match) for index, match in pairs if index >= 0]
        pictures.append((test.query[query].path, ranked))
    ranked_lists(path, pictures, title, read_image)


def write_rankings(path: Path, test: TestSet, result: Result, top: int = 10) -> None:
    """A table of the first photos of every query's ranking, one per row."""
    everyone = range(len(test.query))
    found = ranked_gallery(result.distance, test.query, test.gallery, test.protocol, everyone, top)
    with atomic_write(path) as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        for query, indices, matches in zip(everyone, *found, strict=True):
            asked = test.query[query]
            for rank, (index, match) in enumerate(zip(indices, matches, strict=True), start=1):
                if index < 0:  # the ranking is shorter
                    continue
                photo, text = test.gallery[index], distance_text(result.distance[query, index])
                table.writerow(
                    [asked.path, asked.pid, rank, photo.path, photo.pid, text, int(match)]
                )
