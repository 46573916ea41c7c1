"""Words of messages, and of names."""


def counted(count: int, noun: str) -> str:
    """'1 photo', '2 photos', '3 queries', '4 batches', '5 boxes'."""
    if count == 1:
        return f'{count} {noun}'
    if noun.endswith('y'):
        return f'{count} {noun[:-1]}ies'
    return f'{count} {noun}es' if noun.endswith(('ch', 'x')) else f'{count} {noun}s'


def is_plain(text: str) -> bool:
    """Whether a list can hold it: valid UTF-8, no line breaks or other control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(sign) < 32 for sign in text)
