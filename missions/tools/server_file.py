"""The file of MCP servers: reading it, and saying where it is wrong. Contacts nobody.

`${NAME}` in a URL or a header stands for a Django setting or an environment variable, so that secrets stay out of the
file; references to secrets are looked up when a server is called.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from pydantic import ValidationError

from missions.secrets import redacting
from missions.tools.servers import Server, WrongCatalogue

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read(path: str | Path) -> list[Server]:
    """The servers that the file describes, one or a list. Raises WrongCatalogue with file, line and what it wants."""
    text = _text(Path(path))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_duplicates(node, Path(path))
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongCatalogue(f"{path}: this is not YAML: {error}") from error
    if node is None:
        return []
    found = data if isinstance(data, list) else [data]
    servers = [_server(item, node, place, Path(path)) for place, item in enumerate(found)]
    names = [server.name for server in servers]
    for name in {name for name in names if names.count(name) > 1}:
        raise WrongCatalogue(f"{path}: two servers are called {name!r}")
    return servers


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCatalogue(f"{path}: MISSIONS_MCP_SERVERS wants a readable file: {error}") from error


def _server(item: Any, node: yaml.Node, place: int, path: Path) -> Server:
    try:
        return Server.model_validate(_resolve(item))
    except _Unresolved as error:
        raise WrongCatalogue(f"{path}, line {_line(node, (place,))}: {error}") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        listed = [_fault(fault, node, place, path) for fault in faults]
        raise WrongCatalogue("\n".join(listed)) from error


def _fault(fault: Any, node: yaml.Node, place: int, path: Path) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the server"
    return f"{path}, line {_line(node, (place, *fault['loc']))}: {where}: {fault['msg']}"


class _Unresolved(Exception):
    """A `${NAME}` that stands for nothing."""


def _resolve(item: Any) -> Any:
    """The entry with the references in its URL and headers replaced."""
    if not isinstance(item, dict):
        return item
    for where in ("command", "env"):
        if REFERENCE.search(str(item.get(where, ""))):
            raise _Unresolved(f"`{where}`: no secret reaches the sandbox, so `${{NAME}}` stands for nothing here; a "
                              "server that needs one is reached by `url`")
    known: dict[str, Any] = dict(item)
    if isinstance(known.get("url"), str):
        known["url"] = _replaced("url", known["url"])
    if isinstance(known.get("headers"), dict):
        known["headers"] = {
            name: _replaced(f"headers.{name}", value) if isinstance(value, str) else value
            for name, value in known["headers"].items()
        }
    return known


def _replaced(where: str, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = getattr(settings, name, None) or os.environ.get(name)
        if not isinstance(found, str):
            raise _Unresolved(f"{where}: ${{{name}}} wants a setting or an environment variable of that name")
        if where != "url" and len(found) >= redacting.LEAST:
            redacting.remember(name, found)
        return found

    return REFERENCE.sub(value, text)


def _line(node: yaml.Node, where: tuple[Any, ...]) -> int:
    """The line of the innermost part of `where` that the file has, counted from 1."""
    if isinstance(node, yaml.SequenceNode) and where and isinstance(where[0], int) and where[0] < len(node.value):
        return _line(node.value[where[0]], where[1:])
    if isinstance(node, yaml.MappingNode) and where:
        if where[0] == 0:  # a single server stands for a list of one
            return _line(node, where[1:])
        for key, value in node.value:
            if key.value == str(where[0]):
                return max(int(key.start_mark.line) + 1, _line(value, where[1:]) if where[1:] else 0)
    return int(node.start_mark.line) + 1


def _refuse_duplicates(node: yaml.Node | None, path: Path) -> None:
    if (found := duplicate(node)) is not None:
        raise WrongCatalogue(f"{path}, line {found[1]}: {found[0]} is given twice")


def duplicate(node: yaml.Node | None) -> tuple[str, int] | None:
    """A key that is given twice, with its line. Readers let the last one win; that would change a promise silently."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return key.value, key.start_mark.line + 1
            seen.add(key.value)
            if (inner := duplicate(value)) is not None:
                return inner
    elif isinstance(node, yaml.SequenceNode):
        return next((inner for item in node.value if (inner := duplicate(item)) is not None), None)
    return None
