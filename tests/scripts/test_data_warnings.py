"""Warnings of the data, copies and distractors, in whole runs."""

import csv
import json
import re
import shutil

import test_clipreid
import train_clipreid
from configs import load_cfg
from model import make_model_clipreid
from utils.checkpoint import save_state


def test_the_data_are_checked(world):
    """Individuals of the test among the train list's, and one photo under two labels."""
    lists, photos = world.folder / 'lists', world.folder / 'photos'
    photo = (photos / 'train/0/0.png').read_bytes()
    (photos / 'train/1/0.png').write_bytes(photo)
    (world.folder / 'test/6/0.png').write_bytes(photo)
    lines = (lists / 'train.txt').read_text().splitlines()
    (lists / 'train.txt').write_text(
        '\n'.join(line for line in lines if not line.startswith('train/5/') or '/0.png' in line)
    )
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 0))
    log = (world.output / 'train_log.txt').read_text()
    assert re.search('WARNING: 1 of 6 train individuals have a single photo', log)
    assert re.search(
        'WARNING: 1 photos are in the train and validation lists under two labels', log
    )
    assert re.search('WARNING: 1 of 16 test photos are train photos too', log)


def test_copies_and_distractors_in_a_test(world):
    """The published protocol counts copies, with a warning; where a photo is never itself, they are
    in no ranked list.
    """
    weight, photos = world.folder / 'toy.pth', world.folder / 'test'
    save_state(make_model_clipreid.make_model(load_cfg(world.yml()), 6).state_dict(), weight)
    for name in ('6/copy.png', 'nobody.png'):
        shutil.copy(photos / '6/0.png', photos / name)
    with open(world.folder / 'lists/gallery.txt', 'a') as file:
        file.write('6/copy.png 6\n./6/copy.png 6\nnobody.png -1\n')

    def tested(*opts):
        metrics = test_clipreid.main(world.args('TEST.WEIGHT', weight, *opts))
        results = json.loads((world.output / 'results.json').read_text())
        assert results['metrics'] == metrics
        assert results['counts']['gallery'] == {
            'photos': 14,
            'individuals': 4,
        }  # the repeated line counts once
        copies = results['copies_in_gallery']
        assert (copies['queries'], copies['photos']) == (1, 1)
        rows = list(csv.DictReader((world.output / 'ranked_lists.csv').read_text().splitlines()))
        first = {
            row['photo'].rpartition('test/')[2] for row in rows if row['query'].endswith('6/0.png')
        }
        return metrics, copies['without'], first, (world.output / 'test_log.txt').read_text()

    metrics, ignored, first, log = tested()
    assert {'6/copy.png', 'nobody.png'} <= first and metrics['mAP'] > ignored['mAP']
    assert (
        "Byte-for-byte copies of queries in the gallery: 1 (of 1 queries). Protocol 'query_apart' "
        'counts them as matches: '
        f'mAP {metrics["mAP"]:.1%}'
    ) in log and f'Without them: mAP {ignored["mAP"]:.1%}' in log
    metrics, ignored, first, log = tested('DATASETS.PROTOCOL', 'all')
    assert '6/copy.png' not in first and 'nobody.png' in first and metrics == ignored
    assert 'Byte-for-byte copies of queries in the gallery: 1 (of 1 queries)' in log
