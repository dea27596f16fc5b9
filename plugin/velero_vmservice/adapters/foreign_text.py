"""Somebody else's words, made fit for one line of ours."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """Return the text as one line of at most `longest` characters.

    What does not print becomes a space, characters that reorder text or hide in it included; what is cut ends in `…`.
    """
    head = text[: 4 * longest]  # enough to fill the line, and no more work than that
    line = " ".join("".join(one if one.isprintable() else " " for one in head).split())
    if len(line) > longest or len(head) < len(text):
        return f"{line[: longest - 1]}…"
    return line
