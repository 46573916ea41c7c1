"""Which run starts, resumes or is finished, and errors within it."""

import os
import signal

import pytest
import torch

import processor.processor_clipreid_stage2 as stage2
import train_clipreid
from tests.utils.run.interrupted import assert_same_run, stop_after
from utils.checkpoint import load_state, load_tree, save_tree
from utils.errors import InputError, Stopped
from utils.run.resume import EPOCHS
from utils.run.session import check_disk
from utils.torch_errors import translated_errors


def test_a_finished_run_reports_it_and_writes_nothing(world, capsys):
    best = train_clipreid.main(world.args())
    before = {path.name: path.read_bytes() for path in world.output.iterdir()}
    (world.folder / 'photos').rename(world.folder / 'gone')  # a finished run does not read them
    assert train_clipreid.main(world.args('--resume')) == best
    assert 'this run is finished' in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in world.output.iterdir()}
    with pytest.raises(InputError, match='SOLVER.SEED'):
        train_clipreid.main(world.args('--resume', 'SOLVER.SEED', 3))


def test_more_epochs_for_a_finished_run(world):
    train_clipreid.main(world.args('SOLVER.STAGE2.EVAL_PERIOD', 4))
    train_clipreid.main(
        world.args('--resume', 'SOLVER.STAGE2.EVAL_PERIOD', 4, 'SOLVER.STAGE2.MAX_EPOCHS', 4)
    )
    other = world.folder / 'four'
    train_clipreid.main(
        world.args(
            'SOLVER.STAGE2.EVAL_PERIOD', 4, 'SOLVER.STAGE2.MAX_EPOCHS', 4, 'OUTPUT_DIR', other
        )
    )
    a, b = load_state(world.output / 'RN50_4.pth'), load_state(other / 'RN50_4.pth')
    assert all(torch.equal(a[n], b[n]) for n in a)
    with pytest.raises(InputError, match='MAX_EPOCHS 3'):
        train_clipreid.main(world.args('--resume', 'SOLVER.STAGE2.MAX_EPOCHS', 3))


def test_a_run_of_stage_1_alone_resumes_with_stage_2(world):
    train_clipreid.main(world.args(EPOCHS, 0))
    assert train_clipreid.main(world.args('--resume', EPOCHS, 0)) is None
    train_clipreid.main(world.args('--resume'))
    whole = world.folder / 'whole'
    train_clipreid.main(world.args('OUTPUT_DIR', whole))
    assert_same_run(whole, world.output)


def test_a_signal_in_validation_keeps_the_epoch(world, monkeypatch):
    """Even if RESUME_PERIOD would not have saved a state in this epoch."""
    validate = stage2.validate

    def stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage2, 'validate', stopped)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args('SOLVER.RESUME_PERIOD', 10))
    state = load_tree(world.output / 'resume.pth', 'x')
    assert (state['stage'], state['epoch']) == (2, 1) and state['iteration'] > 0


def test_out_of_memory_names_the_batch_of_its_stage(world, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError('CUDA out of memory')

    for place, key in (
        ('processor.processor_clipreid_stage1.photo_features', 'SOLVER.STAGE1.IMS_PER_BATCH'),
        (
            'processor.processor_clipreid_stage2.validate',
            'SOLVER.STAGE2.IMS_PER_BATCH .* TEST.IMS_PER_BATCH',
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(
                InputError, match=f'out of memory .CUDA out of memory.; lower {key}'
            ):
                train_clipreid.main(world.args())


def test_a_state_of_another_folder_leaves_the_run_there_alone(world, monkeypatch):
    train_clipreid.main(world.args())
    one, other = world.output, world.folder / 'other'
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args('OUTPUT_DIR', other))
    before = {
        name: (other / name).read_bytes()
        for name in ('resume.pth', 'metrics.jsonl', 'train_log.txt')
    }
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    train_clipreid.main(world.args('SOLVER.RESUME', one, 'OUTPUT_DIR', other))
    assert (other / 'RN50_best.pth').exists()
    for name, content in before.items():
        stem, suffix = name.split('.')
        assert (other / f'{stem}.1.{suffix}').read_bytes() == content


def test_auto_without_a_run_starts_one(world):
    train_clipreid.main(world.args('SOLVER.RESUME', 'auto'))
    assert 'nothing to resume' in (world.output / 'train_log.txt').read_text()
    assert (world.output / 'RN50_2.pth').exists()


def test_a_new_run_keeps_the_state_of_an_unfinished_one(world, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    state = (world.output / 'resume.pth').read_bytes()
    train_clipreid.main(world.args())
    assert (world.output / 'resume.1.pth').read_bytes() == state
    assert 'that --resume would continue' in (world.output / 'train_log.txt').read_text()
    train_clipreid.main(world.args())
    assert not (world.output / 'resume.2.pth').exists()  # the second run was finished
    # a path instead of auto: the run resumes in a folder of its own
    out = world.folder / 'elsewhere'
    train_clipreid.main(
        world.args('SOLVER.RESUME', world.output / 'resume.1.pth', 'OUTPUT_DIR', out)
    )
    assert_state = load_state(out / 'RN50_2.pth')
    assert all(
        torch.equal(assert_state[n], t) for n, t in load_state(world.output / 'RN50_2.pth').items()
    )


def test_disk_space_is_checked_before_training(world, monkeypatch):
    monkeypatch.setattr('utils.run.session.free_bytes', lambda folder: 10**7)
    with pytest.raises(
        InputError,
        match=r'writes 4 files of up to 0.02 GB and .* 0.\d\d GB more than now, but only 0.01 GB',
    ):
        train_clipreid.main(world.args())
    assert not list(world.output.iterdir())


def test_disk_need_by_hand(tmp_path, monkeypatch, caplog):
    (tmp_path / 'a').write_bytes(b'x' * 30)
    files = {
        'a': 100,
        'b': 50,
    }  # 70 more for a, 50 for b, 100 while a is written beside the old a; 10 for photos
    for free, enough in ((230, True), (229, False)):
        monkeypatch.setattr('utils.run.session.free_bytes', lambda folder, free=free: free)
        if enough:
            check_disk(tmp_path, files, cache=10)
        else:
            with pytest.raises(InputError):
                check_disk(tmp_path, files, cache=10)
    (tmp_path / 'resume.pth').write_bytes(b'x' * 100)
    check_disk(tmp_path, {'resume.pth': 100})  # replaced; both exist for a moment
    with pytest.raises(InputError):
        check_disk(tmp_path, {'resume.pth': 120}, new=True)  # another run's state is kept


@pytest.mark.parametrize(
    ('error', 'cause', 'start', 'message'),
    [
        (
            '(pid 7) is killed by signal: Killed. ',
            '',
            'fork',
            'was killed .*signal: Killed.*memory or /dev/shm may be full',
        ),
        (
            '(pid(s) 7) exited unexpectedly',
            '(pid 7) is killed by signal: Bus error. It is possible',
            'fork',
            'shm may be full',
        ),
        (
            '(pid(s) 7) exited unexpectedly',
            '(pid 7) exited unexpectedly with exit code 1. Details',
            'fork',
            'with exit code 1',
        ),
        (
            '(pid(s) 7, 8) exited unexpectedly',
            '',
            'spawn',
            "below `if __name__ == '__main__':`, or set DATALOADER",
        ),
    ],
)
def test_a_worker_that_has_ended_is_reported_in_one_line(monkeypatch, error, cause, start, message):
    monkeypatch.setattr('multiprocessing.get_start_method', lambda: start)
    with (
        pytest.raises(InputError, match=f'a process that decodes photos .*{message}.*') as caught,
        translated_errors('X'),
    ):
        raise RuntimeError(f'DataLoader worker {error}\nmore') from RuntimeError(
            cause and f'DataLoader worker {cause}'
        )
    assert 'NUM_WORKERS' in str(caught.value) and '\n' not in str(caught.value)
    assert ('shm' in message) == ('shm' in str(caught.value))


def test_a_bug_in_a_worker_is_not_taken_for_a_full_memory():
    with pytest.raises(RuntimeError, match='Original Traceback'), translated_errors('X'):
        raise RuntimeError(
            'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most '
            'recent call last)'
        )


def test_settings_of_the_optimizer_do_not_come_from_the_file(stopped):
    """Among them is `fused`, which decides what memory is written to."""
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    for group in state['parts']['optimizer']['param_groups']:
        group.update(lr='x', betas=(0.0, 0.0))
    save_tree(state, path)
    train_clipreid.main(stopped.args('--resume'))
    whole = stopped.folder / 'whole'
    train_clipreid.main(stopped.args('OUTPUT_DIR', whole))
    assert_same_run(whole, stopped.output)
