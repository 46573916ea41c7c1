"""CLIP's tokenizer against the original's token ids, and prompts."""

import gzip
import hashlib
import json

import pytest
import torch

from model.clip.tokenizer import tokenize
from model.prompt import PromptLearner, Sentence, find_slots, sentence_for
from tests.helpers import GOLDEN, ROOT
from utils.errors import InputError

CASES = json.loads((GOLDEN / 'tokenizer.json').read_text())


@pytest.mark.parametrize('case', CASES['sentences'], ids=lambda case: case['text'][:20])
def test_ids(case):
    ids = tokenize(case['text'])[0]
    assert ids[:20].tolist() == case['ids']
    assert (int((ids != 0).sum()), int(ids.sum()), int(ids.argmax())) == (
        case['length'],
        case['sum'],
        case['argmax'],
    )


@pytest.mark.parametrize('case', CASES['long'], ids=['too long', 'just fits', 'too long too'])
def test_length(case):
    if case['error']:
        with pytest.raises(InputError, match='at most 77 are allowed'):
            tokenize(case['text'])
    else:
        assert tokenize(case['text'])[0, -3:].tolist() == case['last_ids']


def test_several_texts():
    tokens = torch.cat([tokenize(text) for text in CASES['array_of_strings']['texts']])
    assert list(tokens.shape) == CASES['array_of_strings']['shape'] and tokens.dtype == torch.int64


def test_merges_are_what_their_licence_note_says():
    folder = ROOT / 'model' / 'clip'
    content = gzip.decompress((folder / 'bpe_merges.txt.gz').read_bytes())
    assert hashlib.sha256(content).hexdigest() in (folder / 'bpe_merges.LICENSE.txt').read_text()


def test_sentences():
    assert sentence_for('animals') == 'A photo of a X X X X person.'
    assert sentence_for('veri') == sentence_for('VehicleID') == 'A photo of a X X X X vehicle.'
    assert sentence_for('animals', 'X X X X, a yak') == 'X X X X, a yak'
    assert find_slots('A photo of a X X X X tiger.')[1] == 5
    assert find_slots('X X X X, a yak')[1] == 1
    for bad in ('A photo of a tiger.', 'A X X X tiger', 'X X X X X', 'X X X X or X X X X'):
        with pytest.raises(InputError, match='four X in a row'):
            find_slots(bad)


def test_prompts_are_learned_words_and_what_follows():
    learner = PromptLearner(
        3, Sentence(torch.ones(1, 5, 2), torch.full((1, 68, 2), 2.0), torch.ones(1, 77))
    )
    out = learner(torch.tensor([2, 0]), end=11)
    assert out.shape == (2, 7, 2)  # what follows the prefix, up to the end token
    assert (out[:, 4:] == 2).all()
    assert torch.equal(out[0, :4], learner.cls_ctx[2]) and torch.equal(
        out[1, :4], learner.cls_ctx[0]
    )
