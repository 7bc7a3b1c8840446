"""Text from files and data, made safe to print."""

from __future__ import annotations


def printable(text: object, keep: str = "") -> str:
    """The text with control characters, but for those to `keep`, spelled out: no name from a file steers a terminal.

    >>> printable("red \\x1b[31m")
    'red \\\\x1b[31m'
    """
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in str(text))
