"""A server's description as people write and read it: YAML to a document and back, and where in it a fault lies. Pure.

The words are those of the file of servers, for one server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from missions.errors import InvalidInput
from missions.governance import Json
from missions.tools import server_file
from missions.tools.servers import Server

TEXT_CHARACTERS = 64 * 1024
SAMPLE = """\
name: notes
url: https://notes.example/mcp
headers: {Authorization: "Bearer ${db:notes}"}
tools:
  find: {effect: read}
  add: {effect: write, retry_safety: keyed, key_argument: key}
"""


def document_of(text: str) -> Json:
    """What the text says. Raises InvalidInput, whose message tells the line."""
    if len(text) > TEXT_CHARACTERS:
        raise _wrong(f"A description has at most {TEXT_CHARACTERS:,} characters.")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):  # first: they multiply
            raise _wrong("References of YAML (*name) are not read here.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise _wrong("One server is wanted, as `name: …`.")
        if (twice := server_file.duplicate(node)) is not None:
            raise _wrong(f"Line {twice[1]}: {twice[0]} is given twice.")
        found: Json = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _wrong(f"Line {line}: this is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _wrong("This is not YAML that can be read here.") from error  # a constructor raises what it likes
    return found


def text_of(document: Json) -> str:
    """The document for people, in the order of the file's own description; the database keeps none."""
    known = [name for name in Server.model_fields if name in document]
    document = {name: document[name] for name in (*known, *(set(document) - set(known)))}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def line_of(text: str, field: str) -> int:
    """The line of the innermost part of a field, as `tools.add.effect`, that the text has. It was read before."""
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    while field:
        found = next((one for one in _parts(node) if field == one[0] or field.startswith(f"{one[0]}.")), None)
        if found is None:
            return line
        name, line, node = found
        field = field[len(name) + 1 :]
    return line


def _parts(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Name, line and content of each part."""
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), key.start_mark.line + 1, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(place), item.start_mark.line + 1, item) for place, item in enumerate(node.value))


def _wrong(message: str) -> InvalidInput:
    return InvalidInput("The server can not be registered.", errors=[{"field": "", "message": message}])


def told(text: str, errors: list[dict[str, Any]]) -> list[str]:
    """Errors by field as sentences with their lines."""
    return [
        f"Line {line_of(text, error['field'])}, {error['field']}: {error['message']}" if error["field"]
        else str(error["message"]) for error in errors
    ]  # fmt: skip
