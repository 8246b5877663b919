"""JSON Schemas that a server wrote, made safe to check arguments against on an event loop.

Pure. A schema is a program that its author runs here: a pattern may take for ever on one value, references may refer
to themselves, or multiply at each level. So what it comes to in full is bounded before it is used, references lead
nowhere but into the schema itself, and patterns of servers that are not trusted are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from missions.errors import InvalidInput
from missions.governance import Json

DEPTH = 32
NODES = 5_000  # of objects and lists, each counted as often as it is referred to
PATTERNS = ("pattern", "patternProperties")
FOREIGN = ("$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor")


def tame(schema: Json, *, patterns: bool = False) -> Json:
    """The schema, with its patterns only where they may stay. Raises InvalidInput where it goes too far."""
    left = [NODES]
    _walk(schema, schema, DEPTH, left, ())
    kept: Json = schema if patterns else _without_patterns(schema)
    return kept


def _walk(node: Any, root: Json, depth: int, left: list[int], inside: tuple[str, ...]) -> None:
    """Count what the node comes to, references followed. Raises InvalidInput."""
    if not isinstance(node, Mapping | list):
        return
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise InvalidInput(f"The schema is deeper than {DEPTH} levels, or comes to more than {NODES:,} parts.")
    if isinstance(node, list):
        for item in node:
            _walk(item, root, depth - 1, left, inside)
        return
    if unknown := [name for name in FOREIGN if name in node]:
        raise InvalidInput(f"The schema uses {unknown[0]}, which is not followed here.")
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            raise InvalidInput(f"The schema refers to itself at {reference[:100]}, so its size has no bound.")
        _walk(_target(reference, root), root, depth - 1, left, (*inside, reference))
    for name, item in node.items():
        if name not in ("$defs", "definitions", "enum", "const", "default", "examples"):
            _walk(item, root, depth - 1, left, inside)


def _target(reference: str, root: Json) -> Any:
    """What a reference within the schema leads to. Raises InvalidInput for all others, which would be fetched."""
    found: Any = root
    if not reference.startswith("#/"):
        raise InvalidInput(f"The schema refers to {reference[:100]!r}; only references within it are followed.")
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise InvalidInput(f"The schema refers to {reference[:100]!r}, which is not there.")
        found = found[name]
    return found


def _without_patterns(node: Any, *, names: bool = False) -> Any:
    """A copy; `names` says that the keys are those of arguments, not of the schema's own words."""
    if isinstance(node, list):
        return [_without_patterns(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    kept = {}
    for name, item in node.items():
        if names or name not in PATTERNS:
            kept[name] = _without_patterns(item, names=not names and name in ("properties", "$defs", "definitions"))
    return kept
