"""Words of messages, and of names. For tools/make_lists.py."""


def counted(count, noun):
    """'1 photo', '2 photos', '3 queries', '4 batches', '5 boxes'."""
    several = (
        f'{noun[:-1]}ies'
        if noun.endswith('y')
        else f'{noun}es'
        if noun.endswith(('ch', 'x'))
        else f'{noun}s'
    )
    return f'{count} {noun if count == 1 else several}'


def is_plain(text: str) -> bool:
    """Whether a list can hold it: no bytes that are no UTF-8, no line breaks or other control
    characters.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(sign) < 32 for sign in text)
