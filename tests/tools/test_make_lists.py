"""python -m tools.make_lists as a program."""

from tests.wildlife.lists.samples import write_folder


def test_as_a_program(tmp_path, zygote):
    write_folder(tmp_path / 's', 5)

    def program(*args):
        return zygote.finish('-m', 'tools.make_lists', *args)

    done = program(tmp_path / 's', '--out', tmp_path / 'out')
    assert done.returncode == 0 and not done.stderr and 'Next' in done.stdout
    done = program(tmp_path / 'nothing', '--out', tmp_path / 'out2')
    assert (
        done.returncode == 2 and done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    )
