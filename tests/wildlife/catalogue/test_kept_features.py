"""Features of interrupted calls: whatever fails later, none is computed twice or left behind."""

import numpy as np
import pytest

from tests.wildlife.catalogue.worlds import ANNA, Encoder, check_features, make, photos
from utils.errors import InputError
from wildlife.catalogue.add import add_photos, encode_photos
from wildlife.catalogue.kept_features import kept_features
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos


def left(catalogue):
    return list((catalogue.folder / 'features').glob('*.part'))


def fail(*_, **__):
    raise InputError('locked')


@pytest.mark.parametrize('again', [False, True])
def test_a_failed_commit_loses_nothing(tmp_path, monkeypatch, again):
    """The same photos are there, from two files of at most four."""
    catalogue, encoder = make(tmp_path), Encoder('b' if again else 'a')
    more = photos(tmp_path / 'more', ['Kito'], 6)

    def command():
        if again:
            return encode_photos(catalogue, ANNA, encoder)
        return add_photos(catalogue, ANNA, more, encoder).features

    with monkeypatch.context() as patch, pytest.raises(InputError, match='locked'):
        patch.setattr('wildlife.catalogue.add.write_features', fail)
        command()
    assert len(encoder.encoded) == 6 and len(left(catalogue)) == 2
    assert command() == 6 and len(encoder.encoded) == 6
    assert left(catalogue) == []
    check_features(catalogue, encoder)


def test_another_set_of_photos_takes_what_is_there(tmp_path):
    """A broken photo is left out, another one has changed; nothing stays."""
    catalogue, encoder = make(tmp_path, ()), Encoder()
    found = photos(tmp_path / 'more', ['Kito'], 6).photos
    broken = tmp_path / 'broken.txt'
    broken.write_text('no photo')
    with pytest.raises(InputError, match='not a photo'):
        add_photos(
            catalogue, ANNA, NewPhotos([*found, NewPhoto(str(broken))], 'a folder', [], []), encoder
        )
    assert len(encoder.encoded) == 4 and len(left(catalogue)) == 1
    (tmp_path / 'more' / 'Kito_1.png').write_bytes(b'changed')
    add_photos(catalogue, ANNA, NewPhotos(found, 'a folder', [], []), encoder)
    assert encoder.encoded[4:] == [found[number].path for number in (1, 4, 5)]
    assert left(catalogue) == []
    check_features(catalogue, encoder)


def test_features_of_another_margin_model_or_set_stay(tmp_path):
    wanted = {('a', ''): NewPhoto('a.png'), ('b', ''): NewPhoto('b.png')}
    first = Encoder()
    with pytest.raises(ZeroDivisionError), kept_features(wanted, first, 0.05, tmp_path):
        raise ZeroDivisionError
    (kept,) = tmp_path.iterdir()
    other = {('c', ''): NewPhoto('c.png')}
    for encoder, margin, asked in (
        (Encoder('b'), 0.05, wanted),
        (Encoder(), 0.1, wanted),
        (Encoder(), 0.05, other),
    ):
        with kept_features(asked, encoder, margin, tmp_path):
            assert len(encoder.encoded) == len(asked)
        assert list(tmp_path.iterdir()) == [kept]
    again = Encoder()
    with kept_features(dict(reversed(wanted.items())), again, 0.05, tmp_path) as vectors:
        assert list(vectors) == [('b', ''), ('a', '')] and not again.encoded
        np.testing.assert_array_equal(vectors['a', ''], again.vector('a.png', None))
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_told(tmp_path):
    wanted = {('a', ''): NewPhoto('a.png')}
    with pytest.raises(ZeroDivisionError), kept_features(wanted, Encoder(), 0.05, tmp_path):
        raise ZeroDivisionError
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])
    damaged = kept_features(wanted, Encoder(), 0.05, tmp_path)
    with pytest.raises(InputError, match=r'\.part is damaged .*; delete it'), damaged:
        pass


def test_two_programs_with_the_same_photos(tmp_path):
    """The other begins while the first one computes, and ends before it."""
    wanted = {(str(number), ''): NewPhoto(f'{number}.png') for number in range(6)}

    class Slow(Encoder):
        def __call__(self, *arguments):
            first, second = super().__call__(*arguments)
            yield first
            with kept_features(wanted, other, 0.05, tmp_path):
                pass
            yield second

    other, slow = Encoder(), Slow()
    with kept_features(wanted, slow, 0.05, tmp_path) as vectors:
        assert list(vectors) == list(wanted)
    assert len(slow.encoded) == 6 and other.encoded == ['4.png', '5.png']
    assert not list(tmp_path.iterdir())
