"""JSON from files and lines that may be anybody's."""

from __future__ import annotations

import json
from typing import Any


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text, of which every text can be written again.

    >>> parse_json(b'{"a": [1, null]}')
    {'a': [1, None]}

    Raises:
        ValueError: no JSON, or not UTF-8; nested beyond reason; half a character, which no text can hold.
    """
    try:
        value = json.loads(data)
        # Only by its number can JSON name half of a character.
        if (b"\\u" if isinstance(data, bytes) else "\\u") in data:  # type: ignore[operator]
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it must hold text, got half a character") from None
    except RecursionError:
        raise ValueError("it must not be nested so deeply") from None
    return value
