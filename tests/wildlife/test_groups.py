"""wildlife/groups.py, by whole runs of make_lists and by its functions."""

from wildlife.groups import connected_groups


def test_connected():
    assert connected_groups([(1, 'a'), (2, 'a'), (3, 'b'), (4, 'c'), (2, 'c'), (None, 'b')]) == [
        {1, 2, 4},
        {3},
    ]
