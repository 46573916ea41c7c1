"""Numbers with their nouns, for messages. For tools/make_lists.py."""


def counted(count, noun):
    """'1 photo', '2 photos', '3 queries', '4 batches', '5 boxes'."""
    several = f'{noun[:-1]}ies' if noun.endswith('y') else f'{noun}es' if noun.endswith(('ch', 'x')) else f'{noun}s'
    return f'{count} {noun if count == 1 else several}'
