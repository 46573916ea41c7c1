"""Strategies that all inputs are made of, and bytes near valid ones."""

import io
import zipfile

from hypothesis import strategies as st

one_of, sampled, text, integers, lists, dicts = (
    st.one_of,
    st.sampled_from,
    st.text,
    st.integers,
    st.lists,
    st.dictionaries,
)


def encoded(strategy):
    return strategy.map(lambda value: value.encode('utf-8', 'surrogatepass'))


def pieces(*values, most=30):
    """Some of the values (text or bytes), one after another."""
    return lists(sampled(values), max_size=most).map(type(values[0])().join)


NUMBERS = sampled(
    [b'\xff' * 8, b'\0' * 8, b'\xff\xff\xff\x7f', b'\x7f\xff\xff\xff', b'\xff' * 4 + b'\0' * 4]
)


def mutated(seeds, most=6):
    """One of the byte strings, with up to ``most`` bits flipped, parts cut, dropped, filled,
    inserted, taken from others.
    """
    change = st.tuples(
        sampled(['flip', 'flip', 'flip', 'cut', 'drop', 'fill', 'fill', 'insert', 'splice']),
        st.floats(0, 1),  # where, as a share of the length
        integers(1, 400),
        integers(0, len(seeds) - 1),
        one_of(st.binary(min_size=1, max_size=8), NUMBERS),
    )

    def apply(drawn):
        content, changes = seeds[drawn[0]], drawn[1]
        for kind, place, length, other, filling in changes:
            content = _changed(
                content, kind, int(place * len(content)), length, seeds[other], filling
            )
        return content

    return st.tuples(integers(0, len(seeds) - 1), lists(change, max_size=most)).map(apply)


def _changed(content, kind, at, length, other, filling):
    before, after = content[:at], content[at:]
    if kind == 'flip':
        return before + bytes(byte ^ filling[0] for byte in after[:1]) + after[1:]
    if kind == 'splice':
        start = length % max(1, len(other))
        return before + other[start : start + length] + after
    return (
        before
        + {
            'cut': b'',
            'drop': after[length:],
            'fill': filling + after[len(filling) :],
            'insert': filling + after,
        }[kind]
    )


def mutated_within(archive, most=3):
    """The zip archive with changes in one of its members and checksums that are right again."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        members = {name: file.read(name) for name in sorted(file.namelist())}

    def rezipped(drawn):
        changed, content = drawn
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w') as archive:
            for name in members:
                archive.writestr(
                    zipfile.ZipInfo(name), content if name == changed else members[name]
                )
        return file.getvalue()

    changes = (
        st.tuples(st.just(name), mutated([content, *members.values()], most))
        for name, content in members.items()
    )
    return one_of(*changes).map(rezipped)


ENTRY = {'imgid': 1, 'entityid': 2, 'query': 'sing', 'frame': [1, 2, 3]}
JSON = st.recursive(
    one_of(st.none(), st.booleans(), integers(), st.floats(), text(max_size=5)),
    lambda inner: one_of(
        lists(inner, max_size=4), dicts(sampled([*ENTRY, 'x']), inner, max_size=4)
    ),
    max_leaves=8,
)
