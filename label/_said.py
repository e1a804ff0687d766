"""What went wrong in code that is not ours, in one line."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """An error's type and the first line of its message.

    >>> said(ValueError("no such thing\\nand more")), said(KeyError())
    ('ValueError: no such thing', 'KeyError')
    """
    reason = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
