"""Small lists of the three species, and configs and photos for them."""

import numpy as np
from PIL import Image

TRAIN = [
    ('train/0/a b.jpg', 0, 0),
    ('train/0/1.jpg', 0, 1),
    ('train/1/2.jpg', 1, 0),
    ('train/1/3.jpg', 1, 0),
    ('train/1/4.jpg', 1, 1),
    ('train/2/5.jpg', 2, 1),
    ('train/3/6.jpg', 3, 1),
]

VAL = [('val/0/7.jpg', 0, 0), ('val/2/8.jpg', 2, 1)]
QUERY = [('000000.jpg', 5), ('000001.jpg', 5), ('000002.jpg', 9)]
GALLERY = [('000002.jpg', 9), ('000003.jpg', 5)]


def write_list(path, rows):
    path.write_text(''.join(' '.join(map(str, row)) + '\n' for row in rows))


def make_photos(folder, rows):
    rng = np.random.default_rng(len(rows))
    for path, *_ in rows:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 10, 3)).astype(np.uint8)).save(folder / path)


def rows_of(test):
    (trial,) = test.trials
    return trial.query_index.tolist(), trial.gallery_index.tolist()
