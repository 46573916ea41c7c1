"""Prompts that start as numbers (MODEL.PROMPT_START)."""

import pytest
import torch

import train_clipreid
from configs import ConfigError, load_cfg
from model.clip.tokenizer import encode, tokenize
from model.make_model_clipreid import make_model
from model.prompt import MOST_NUMBERS, number_tokens
from tests.model.base_variants import config
from utils.checkpoint import load_state
from utils.errors import InputError

NUMBER = ('MODEL.PROMPT_START', 'number')


def test_numbers_are_written_with_four_digits():
    tokens = number_tokens(MOST_NUMBERS)
    digits = torch.tensor([encode(digit)[0] for digit in '0123456789'])
    numbers = torch.arange(1, MOST_NUMBERS + 1)
    places = [numbers // 10**power % 10 for power in (3, 2, 1, 0)]
    assert torch.equal(tokens, digits[torch.stack(places, dim=1)])
    with pytest.raises(InputError, match='at most 9999 individuals, but the training list has 10'):
        number_tokens(10_000)


def test_the_prompt_of_an_individual_is_the_sentence_with_its_number(world):
    model = make_model(config(world, 'RN50', *NUMBER), 20)
    words = torch.load(world.weights['RN50'], weights_only=True)['token_embedding.weight']
    sentence = words[tokenize('A photo of a 0012 person.')]
    learner = model.prompt_learner
    prompt = torch.cat([learner.token_prefix, learner(torch.tensor([11]), end=76)], dim=1)
    assert torch.equal(prompt, sentence)


def test_all_other_weights_are_those_of_a_random_start(world):
    states = []
    for opts in ((), NUMBER):
        torch.manual_seed(3)
        states.append(make_model(config(world, 'RN50', *opts), 5).state_dict())
    differ = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert differ == {'prompt_learner.cls_ctx'}


@pytest.mark.parametrize('epochs, learned', [(0, False), (1, True)])
def test_numbers_stay_without_stage_1_and_are_a_start_with_it(world, epochs, learned):
    args = ('SOLVER.STAGE1.MAX_EPOCHS', epochs, 'SOLVER.STAGE2.MAX_EPOCHS', 1, *NUMBER)
    train_clipreid.main(world.args(*args))
    words = torch.load(world.weights['RN50'], weights_only=True)['token_embedding.weight']
    found = load_state(world.output / 'RN50_1.pth')['prompt_learner.cls_ctx']
    assert torch.equal(found, words[number_tokens(len(found))]) != learned
    log = (world.output / 'train_log.txt').read_text()
    assert ("the prompts stay the individuals' numbers" in log) != learned


def test_a_trained_checkpoint_has_no_vocabulary():
    choice = ('MODEL.PRETRAIN_CHOICE', 'finetune', 'MODEL.PRETRAIN_PATH', 'a.pth')
    with pytest.raises(ConfigError, match='PROMPT_START.*vocabulary'):
        load_cfg('', [*choice, *NUMBER])
