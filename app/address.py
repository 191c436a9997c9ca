"""A page's address, split into its parts: the same limits, and the same sentences, on every page."""

from urllib.parse import parse_qs

LONGEST = 8_000  # characters of a query
MOST_PARTS = 64


def split_query(query: str) -> dict[str, list[str]]:
    """Return the values of each part of a query, in its order.

    Raises:
        ValueError: it is too long or has too many parts, in one sentence.

    >>> split_query("?o=adam&o=gd&steps=")
    {'o': ['adam', 'gd'], 'steps': ['']}
    """
    if len(query) > LONGEST:
        raise ValueError(f"This link has {len(query):,} characters; at most {LONGEST:,} can be read.")
    try:
        return parse_qs(query.lstrip("?"), keep_blank_values=True, max_num_fields=MOST_PARTS)
    except ValueError:
        raise ValueError(f"This link has more than {MOST_PARTS} parts, so none of it was read.") from None
