"""Test: python test_clipreid.py --config_file configs/yak/cnn_clipreid.yml TEST.WEIGHT
./output/yak/cnn/RN50_80.pth
"""

import argparse
import contextlib
import csv
import logging
import os
import sys

from configs import ConfigError, flatten, load_cfg
from configs.command_line import parse_with_pairs, path_text
from utils.errors import InputError, exit_code


def main(argv=None):
    """Metrics of the checkpoint TEST.WEIGHT as a dict of fractions."""
    return run(argv, 'Test a trained model by the protocol of its species.', 'test')


def run(argv, description, name, always_rerank=False):
    """What both test scripts do; ``name`` is the stem of the log's name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        '--config_file', type=path_text, default='', help='a yml of configs/, or your own'
    )
    args = parse_with_pairs(parser, argv)
    return judge(load_cfg(args.config_file, args.opts), args.config_file, name, always_rerank)


def judge(cfg, config_file, name, always_rerank):
    """Test TEST.WEIGHT as ``cfg`` says; the other arguments are those of :func:`run`."""
    # here and not above: --help and a wrong key need no PyTorch, which takes seconds to load
    from utils.device import process_backend
    from utils.distributed import several_processes
    from utils.logger import close_logger, setup_logger
    from utils.torch_errors import translated_errors

    setup_logger()
    logger = logging.getLogger('transreid.test')
    try:
        with (
            several_processes(cfg.MODEL.DIST_TRAIN, process_backend(cfg.MODEL.DEVICE)) as processes,
            translated_errors(
                'TEST.IMS_PER_BATCH (photos at once), or the lists (ranking holds queries x '
                'gallery)'
            ),
        ):
            if not processes.main:
                setup_logger(quiet=True)
            return _judge(cfg, config_file, name, always_rerank, processes, logger)
    except InputError as error:
        logger.error('%s', error)
        raise
    finally:
        close_logger()


def _judge(cfg, config_file, name, always_rerank, processes, logger):
    from datasets.checks import data_warnings
    from datasets.make_dataloader_clipreid import make_test_dataloader
    from model.make_model_clipreid import make_test_model
    from processor.inference import do_inference, report, report_copies
    from utils.device import make_runtime, seed_everything, wants_pinned_memory
    from utils.files import keep_earlier, make_output_dir, write_json
    from utils.logger import log_to_file
    from utils.run.lock import output_lock
    from utils.run.provenance import log_run

    output_dir = make_output_dir(cfg.OUTPUT_DIR)
    # a training may be at work here, another test may not: it would write the same files
    with (
        output_lock(output_dir, 'test') if processes.main else contextlib.nullcontext(),
        contextlib.ExitStack() as end,
    ):
        runtime = make_runtime(
            cfg.MODEL.DEVICE,
            cfg.SOLVER.AMP,
            cfg.SOLVER.DETERMINISTIC,
            processes,
            compiles=cfg.MODEL.COMPILE,
        )
        seed_everything(cfg.SOLVER.SEED)
        test = make_test_dataloader(
            cfg, wants_pinned_memory(runtime.device), processes, runtime.device
        )
        end.callback(test.loader.close)
        logger.info('Protocol %s: %s', test.protocol.name, test.protocol.text)
        about = log_run(cfg, runtime, logger)
        model, sha256 = _load(cfg, make_test_model)
        model.to(runtime.device)
        _check_side(model, test)
        animals = cfg.DATASETS.NAMES == 'animals'
        if processes.main:
            log_to_file(output_dir, f'{name}_log.txt')
            for line in (
                data_warnings((), query=test.query, gallery=test.gallery) if animals else ()
            ):
                logger.warning('%s', line)

        rerank = None
        if always_rerank or cfg.TEST.RE_RANKING:
            rerank = {
                'k1': cfg.TEST.RERANK_K1,
                'k2': cfg.TEST.RERANK_K2,
                'lambda_value': cfg.TEST.RERANK_LAMBDA,
                'ties': cfg.TEST.RERANK_TIES,
            }
            logger.info('k-reciprocal re-ranking: %s', rerank)
        result = do_inference(
            model,
            test,
            runtime,
            rerank,
            normalise=animals or cfg.TEST.FEAT_NORM == 'yes',
            metric='cosine' if animals else 'euclidean',
        )
        report(result.metrics, logger, result.without_positive)
        report_copies(result, test.protocol, logger)
        if not processes.main:
            return result.metrics

        for earlier in ('results.json', 'ranked_lists.png', 'ranked_lists.csv'):
            keep_earlier(output_dir / earlier)
        write_json(
            output_dir / 'results.json',
            {
                'metrics': result.metrics,
                'queries_without_positive': result.without_positive,
                'copies_in_gallery': result.copies,
                'trials': len(test.trials),
                'protocol': test.protocol.name,
                'protocol_text': test.protocol.text,
                're_ranking': rerank,
                'checkpoint': str(cfg.TEST.WEIGHT),
                'checkpoint_sha256': sha256,
                'counts': _counts(test),
                'data': test.fingerprints,
                **about,
                'config_file': config_file,
                'config': flatten(cfg),
            },
        )
        picture = output_dir / 'ranked_lists.png'
        _draw(
            picture,
            test,
            result,
            f'{cfg.DATASETS.SPECIES if animals else cfg.DATASETS.NAMES}: first photos for a dozen '
            f'queries, {"re-ranked, " if rerank else ""}green = right individual',
        )
        _write_ranked_lists(output_dir / 'ranked_lists.csv', test, result)
        logger.info(
            'Results: %s, picture: %s, of all queries: %s',
            output_dir / 'results.json',
            picture,
            picture.with_suffix('.csv'),
        )
        return result.metrics


def _load(cfg, make_test_model):
    """The model of TEST.WEIGHT and the file's SHA-256. A training may replace the file at any
    moment.
    """
    from utils.files import sha256_file

    def stamp():
        status = os.stat(cfg.TEST.WEIGHT)
        return status.st_ino, status.st_mtime_ns, status.st_size

    with contextlib.suppress(OSError):
        before = stamp()
        model = make_test_model(cfg)
        sha256 = sha256_file(cfg.TEST.WEIGHT)
        if stamp() == before:
            return model, sha256
    make_test_model(cfg)  # says what is wrong with the file, if it is
    raise InputError(
        f'TEST.WEIGHT: {cfg.TEST.WEIGHT} was replaced while it was read; start the test again'
    )


def _check_side(model, test):
    """Side information needs an embedding for every camera and view of the test."""
    for what, known, numbers in (
        ('cameras', model.side[0], {r.camid for r in test.query + test.gallery}),
        ('views', model.side[1], {r.viewid for r in test.query + test.gallery}),
    ):
        if known and max(numbers) >= known:
            raise InputError(
                f'the model knows {known} {what}, the test lists have number {max(numbers)}; '
                'train with MODEL.SIE_'
                f'CAMERA / SIE_VIEW on lists that hold all of them, or set them to False'
            )


def _counts(test):
    from datasets.records import count

    return {
        name: {'photos': len(records), 'individuals': count(records).ids}
        for name, records in (('query', test.query), ('gallery', test.gallery))
    }


def _draw(path, test, result, title, rows=12, top=10):
    """A dozen queries spread evenly over the list."""
    from datasets.images import read_image
    from utils.metrics import ranked_gallery
    from utils.plots import ranked_lists

    count = min(rows, len(test.query))
    chosen = [i * len(test.query) // count for i in range(count)]
    indices, right = ranked_gallery(
        result.distance, test.query, test.gallery, test.protocol, chosen, top
    )
    ranked_lists(
        path,
        [
            (
                test.query[q].path,
                [(test.gallery[g].path, ok) for g, ok in zip(row, good, strict=True) if g >= 0],
            )
            for q, row, good in zip(chosen, indices, right, strict=True)
        ],
        title,
        read_image,
    )


def _write_ranked_lists(path, test, result, top=10):
    """The first photos of every query's ranking, one a row."""
    from utils.files import atomic_write
    from utils.metrics import distance_text, ranked_gallery

    indices, right = ranked_gallery(
        result.distance, test.query, test.gallery, test.protocol, range(len(test.query)), top
    )
    with atomic_write(path) as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(['query', 'query_label', 'rank', 'photo', 'label', 'distance', 'right'])
        for q, (row, good) in enumerate(zip(indices, right, strict=True)):
            for rank, (g, ok) in enumerate(zip(row, good, strict=True), start=1):
                if g >= 0:
                    table.writerow(
                        [
                            test.query[q].path,
                            test.query[q].pid,
                            rank,
                            test.gallery[g].path,
                            test.gallery[g].pid,
                            distance_text(result.distance[q, g]),
                            int(ok),
                        ]
                    )


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
