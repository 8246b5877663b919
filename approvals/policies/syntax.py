"""The little that is read from a condition's text: its top-level conjuncts, its loops, the names that it mentions.

Pure. Nothing here decides a ruling: conjuncts explain one, loops and names bound its cost. CEL itself (`expr`)
parses, checks and evaluates. Source of the tokens: CEL language definition, "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LOOPS: Final = frozenset({"all", "exists"})  # the macros that are left
TOKEN: Final = re.compile(
    r"""
      (?P<blank>\s+|//[^\n]*)
    | (?P<text>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
             |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<name>[A-Za-z_]\w*|`[^`\n]*`)
    | (?P<number>\d[\w.]*)
    | (?P<mark>&&|\|\||[-+*/%<>=!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class Unreadable(ValueError):
    """A character that starts no token."""


def tokens(source: str) -> Iterator[re.Match[str]]:
    """The tokens of a condition without blanks and comments. Raises Unreadable."""
    position = 0
    while position < len(source):
        found = TOKEN.match(source, position)
        if found is None:
            raise Unreadable(f"character {position + 1}")
        position = found.end()
        if found.lastgroup != "blank":
            yield found


def conjuncts(source: str) -> tuple[str, ...]:
    """The parts that a top-level && joins; the whole where another operator binds weaker, or where it is unreadable."""
    depth, start, parts = 0, 0, []
    try:
        for token in tokens(source):
            mark = token.group()
            if token.lastgroup == "mark":
                depth += (mark in "([{") - (mark in ")]}")
                if depth == 0 and mark in {"||", "?"}:
                    return (source.strip(),)
                if depth == 0 and mark == "&&":
                    parts.append(source[start : token.start()].strip())
                    start = token.end()
    except Unreadable:
        return (source.strip(),)
    return (*parts, source[start:].strip())


def nested_loop(source: str) -> int | None:
    """Where a loop stands inside another loop, as an offset; None where none does. Raises Unreadable."""
    open_loops: list[bool] = []  # one per open bracket: whether it holds a loop's body
    before, last = "", ""
    for token in tokens(source):
        mark = token.group()
        if mark == "(" and token.lastgroup == "mark":
            loop = before == "." and last in LOOPS
            if loop and any(open_loops):
                return token.start()
            open_loops.append(loop)
        elif token.lastgroup == "mark" and mark in "[{":
            open_loops.append(False)
        elif token.lastgroup == "mark" and mark in ")]}" and open_loops:
            open_loops.pop()
        before, last = last, mark
    return None


def fields(source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arguments that a condition names (`args.x`, `args["x"]`), and all other fields; each once, in order.

    Empty where it is unreadable.
    """
    try:
        found = [token.group() for token in tokens(source)]
    except Unreadable:
        return (), ()
    arguments: list[str] = []
    others: list[str] = []
    for base, mark, name in zip(found, found[1:], found[2:], strict=False):
        if mark in {".", "["} and name[:1] not in "0123456789":
            (arguments if base == "args" else others).append(name.strip("`'\""))
    return tuple(dict.fromkeys(arguments)), tuple(dict.fromkeys(others))
