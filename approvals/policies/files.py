"""Reading policy files, YAML or JSON, without the surprises of either.

A key that is given twice, an alias, NaN, and text that YAML 1.1 would silently turn into a boolean, a date or a number
in base 60 (`off`, `2026-01-01`, `4:00`) must not change what a policy says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from approvals.policies import document
from approvals.policies.document import Document, InvalidPolicy, Problem

MOST_BYTES: Final = 1024 * 1024


class _PlainLoader(yaml.SafeLoader):
    """YAML with the scalars of JSON: true, false, null and numbers; the rest is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # filled below, apart from SafeLoader's own

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: a few of them can stand for gigabytes."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are refused", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is given twice: YAML would keep the last."""
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str) or name in seen:
                fault = "is given twice" if isinstance(name, str) else "is not text"
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} {fault}", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?", "-0123456789"),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read(path: Path) -> list[Document]:
    """The checked policies of a file that holds one or a list. Raises OSError, InvalidPolicy."""
    content = path.read_bytes()
    name = path.name
    if len(content) > MOST_BYTES:
        raise _refused(name, f"It takes {len(content):,} bytes; the limit is {MOST_BYTES:,}.")
    return checked(parsed(content, name, is_json=path.suffix.lower() == ".json"), name)


def parsed(content: bytes, name: str, *, is_json: bool = False) -> list[Any]:
    """The policies of a text as plain JSON, unchecked. Raises InvalidPolicy where it can not be read."""
    data = _loaded(content, name, is_json=is_json)
    return data if isinstance(data, list) else [data]


def checked(policies: list[Any], source: str) -> list[Document]:
    """Check each policy of a list and report the problems of all. Raises InvalidPolicy."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for policy in policies:
        try:
            documents.append(document.check(policy, source))
        except InvalidPolicy as error:
            problems += error.problems
    names = [one.name for one in documents]
    problems += [
        Problem(source=source, field="name", message=f"Two policies are called {name}.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if not policies:
        problems.append(Problem(source=source, message="It holds no policy."))
    if problems:
        raise InvalidPolicy(problems)
    return documents


def _loaded(content: bytes, name: str, *, is_json: bool) -> Any:
    try:
        text = content.decode("utf-8-sig")
        if is_json:
            return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _refused(name, f"{place}{error.problem or error}.") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise _refused(name, f"It can not be read: {error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kept = dict(pairs)
    if len(kept) != len(pairs):
        raise ValueError(f"a key is given twice among {', '.join(kept)}")
    return kept


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _refused(name: str, message: str) -> InvalidPolicy:
    return InvalidPolicy([Problem(source=name, message=message)])
