"""Reading a resource of an MCP server as a tool: `SERVER.resources.read`, a read like any other.

Not in the registry: `m.wait_for_mcp` alone calls it, so that its reading is ruled on, limited and journalled.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

from missions.errors import UnknownTool
from missions.governance import EffectClass, Json
from missions.tools import catalogue, learning, registered
from missions.tools.arguments import SchemaArguments
from missions.tools.servers import Server
from missions.tools.spec import ToolCall, ToolSpec

URI_CHARACTERS = 2000
SCHEMA: Json = {
    "type": "object", "additionalProperties": False, "required": ["resource"],
    "properties": {
        "resource": {"type": "string", "minLength": 1, "maxLength": URI_CHARACTERS},
        "known": {"type": "string", "maxLength": 64},
    },
}  # fmt: skip
SECONDS = 30.0


@functools.cache
def _subscriptions() -> ModuleType:
    """What speaks MCP; its libraries take a second to import."""
    return importlib.import_module("missions.tools.subscriptions")


def server_of(name: str) -> Server:
    """The server of this name that can be listened to. Raises UnknownTool."""
    for server in registered.servers():
        if server.name == name and server.url:
            return server
    raise UnknownTool(f"There is no MCP server {name!r} with a URL.")


def current_spec(name: str) -> ToolSpec:
    """The same as it is now. Two statements. Raises UnknownTool."""
    learning.refresh()
    return spec(name)


def spec(name: str) -> ToolSpec:
    """The tool that reads resources of a server; of one that was taken away, one that refuses. Raises UnknownTool."""
    if (former := registered.gone(name)) is not None:
        return catalogue.withdrawn(_spec(former), name)
    return _spec(server_of(name))


def _spec(server: Server) -> ToolSpec:
    name = server.name

    async def read(call: ToolCall, resource: str, known: str = "") -> Json:
        """Whether it is another than is known, with what it is where it is. Raises TryLater, ToolFailed."""
        found = await _subscriptions().read(server, resource, SECONDS * 0.95)
        changed = bool(known) and found.digest != known
        return {"changed": changed, "digest": found.digest, **({"told": found.told()} if changed else {})}

    return ToolSpec(
        name=f"{name}.resources.read", function=read, arguments=SchemaArguments(SCHEMA), effect=EffectClass.READ,
        title=f"Read a resource of {name}", sentence=f"Read {{resource}} of {name}", untrusted=True,
        timeout_seconds=SECONDS, origin=f"MCP server {name} (resources)",
    )
