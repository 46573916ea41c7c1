"""Masks of rembg, faked."""

import sys

import pytest
from PIL import Image

from tests.wildlife.background.world import NAMES, SIZE, left_half, picture, pixels, run, save
from utils.errors import InputError
from wildlife.background import masks


def test_rembg(src, rembg):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(picture(0), src / NAMES[0], quality=95, exif=exif)
    assert run(src)['written'] == 4
    assert rembg.model == 'isnet-general-use'
    assert [photo.size for photo in rembg.calls] == [SIZE] * 4 and not any(
        photo.getexif() for photo in rembg.calls
    )
    assert (pixels(src.parent / 'dst/train/1/b.png')[:, 12:] == 0).all()
    rembg.calls.clear()
    rembg.new_session = None  # nothing to do, nothing to load
    assert run(src)['kept'] == 4


def test_a_model_that_cannot_be_loaded(src, rembg, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError('no\nnetwork')

    monkeypatch.setenv('U2NET_HOME', '/models')
    rembg.new_session = fail
    with pytest.raises(
        InputError,
        match='--model x cannot be loaded .no network.; .* at /models/x.onnx, or give --masks',
    ):
        run(src, '--model', 'x')
    assert not (src.parent / 'dst').exists()


def test_photos_are_not_sent_away(src, rembg):
    rembg.session.is_local = lambda: False
    with pytest.raises(InputError, match='would send the photos to an online service'):
        run(src, '--model', 'remote')
    assert not rembg.calls


def test_a_network_that_fails_on_a_photo(src, rembg):
    def remove(data, **kwargs):
        if data.getpixel((0, 0))[1] == 80:  # the second
            raise RuntimeError('out of\nmemory')
        return Image.fromarray(left_half(data.size))

    rembg.remove = remove
    with pytest.raises(
        InputError, match='1 of 4 .*: train/1/b.png: isnet-general-use found no mask .out of memory'
    ):
        run(src)
    assert (src.parent / 'dst' / NAMES[3]).exists()


def test_a_network_with_a_mask_of_another_size(src, rembg):
    rembg.remove = lambda data, **kwargs: Image.fromarray(left_half((3, 3)))
    with pytest.raises(
        InputError,
        match=r'the mask of isnet-general-use has size \(3, 3\), but the photo has \(24, 16\)',
    ):
        run(src)


@pytest.mark.parametrize('how', ['absent', 'exits'])
def test_without_rembg(src, tmp_path, monkeypatch, capsys, how):
    monkeypatch.delitem(sys.modules, 'rembg', raising=False)
    if how == 'absent':
        monkeypatch.setitem(sys.modules, 'rembg', None)
    else:  # what rembg does without onnxruntime
        (tmp_path / 'lib').mkdir()
        (tmp_path / 'lib' / 'rembg.py').write_text('import sys\nprint("advice")\nsys.exit(1)\n')
        monkeypatch.syspath_prepend(tmp_path / 'lib')
    with pytest.raises(InputError, match='pip install -r requirements-extras.txt, or give --masks'):
        masks.Network('isnet-general-use')
    assert not capsys.readouterr().out
