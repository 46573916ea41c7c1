"""The table of the rules."""

from wildlife.checks.rules import CHECKS


def test_every_check_of_the_table_has_a_level_a_title_and_words():
    assert {level for level, *_ in CHECKS.values()} == {'wrong', 'warning', 'note'}
    assert len({title for _, title, _ in CHECKS.values()}) == len(CHECKS)
