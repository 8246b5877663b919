"""Tools on MCP servers, as specs.

Listed tools are known without contacting their server. A schema that the file does not give is learnt from the server
when it is first wanted; tools that the file does not list follow the server's annotations once `discover` was asked.
"""

from __future__ import annotations

import functools
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from missions.errors import InvalidInput, OutcomeUnknown, ToolFailed, TryLater
from missions.governance import EffectClass, Json
from missions.tools import servers as files
from missions.tools.arguments import SchemaArguments
from missions.tools.servers import RemoteTool, Server
from missions.tools.spec import ProbeResult, ToolCall, ToolSpec

logger = logging.getLogger(__name__)
# Whoever calls a tool gives up at its deadline; giving up a little earlier lets the client say whether it was sent.
HEADROOM = 0.95


@functools.cache
def _client() -> ModuleType:
    """The MCP client; its libraries take a second to import, which a process that calls no tool need not pay."""
    return importlib.import_module("missions.tools.mcp_client")


def warm() -> None:
    """Import the MCP client now, so that the first call does not hold up an event loop."""
    _client()


@functools.lru_cache(maxsize=8)
def servers(path: str | Path) -> tuple[Server, ...]:
    """The servers of a file, read once. Raises WrongCatalogue."""
    return tuple(files.read(path))


def load(path: str | Path) -> list[ToolSpec]:
    """The listed tools of a file's servers. Contacts nobody. Raises WrongCatalogue."""
    return [spec(server, tool) for server in servers(path) for tool in server.tools]


def spec(server: Server, tool: str, *, entry: RemoteTool | None = None, schema: Json | None = None) -> ToolSpec:
    """One tool of a server; `entry` where the file does not list it, `schema` where the server was asked."""
    entry = entry or server.entry(tool)
    arguments = SchemaArguments(entry.args_schema or schema, hidden=entry.key_argument)
    remote = Remote(server=server, tool=tool, entry=entry, arguments=arguments)
    name = server.registered_name(tool)
    return ToolSpec(
        name=name,
        function=remote.call,
        arguments=arguments,
        effect=entry.effect,
        retry_safety=entry.retry_safety,
        probe=remote.probe if entry.probe else None,
        compensate=entry.compensate,
        title=entry.title or name.replace(".", " ").replace("_", " ").capitalize(),
        sentence=entry.sentence,
        data_class=entry.data_class,
        cost=entry.cost,
        timeout_seconds=entry.timeout,
        key_ttl_seconds=entry.key_ttl,
        origin=f"MCP server {server.name} ({tool})",
        learn=remote.learn,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One tool of one server, callable."""

    server: Server
    tool: str
    entry: RemoteTool
    arguments: SchemaArguments

    async def call(self, call: ToolCall, **args: Any) -> Any:
        """The tool's structured answer, else its text. Raises TryLater, ToolFailed, OutcomeUnknown."""
        return await _client().call(
            self.server, self.tool, args,
            key=call.idempotency_key, deadline=call.deadline, timeout=self.entry.timeout * HEADROOM, entry=self.entry,
        )

    async def probe(self, call: ToolCall, **args: Any) -> ProbeResult:
        """Ask whether the call with this key happened. Raises TryLater where the server can not be asked now."""
        probe = self.entry.probe
        if probe is None or not call.idempotency_key:
            return ProbeResult(found=None, detail="There is no key to ask by.")
        asked = {probe.argument or self.entry.key_argument: call.idempotency_key}
        asking = RemoteTool(effect=EffectClass.READ)
        try:
            answer = await _client().call(
                self.server, probe.tool, asked, timeout=self.entry.timeout * HEADROOM, entry=asking
            )
        except OutcomeUnknown as error:  # a question changes nothing: it can simply be asked again
            raise TryLater(str(error)) from error
        except ToolFailed as error:
            return ProbeResult(found=None, detail=str(error))
        return _probed(answer, probe)

    async def learn(self) -> None:
        """Take the arguments' schema from the server. Raises TryLater, ToolFailed."""
        for listed in await _client().list_tools(self.server):
            if listed.name == self.tool:
                return self.arguments.learn(listed.input_schema)
        raise ToolFailed(f"The server {self.server.name} offers no tool {self.tool!r}.")


def _probed(answer: Any, probe: files.Probe) -> ProbeResult:
    found = answer.get(probe.found) if isinstance(answer, dict) else None
    if not isinstance(found, bool):
        return ProbeResult(found=None, detail=f"{probe.tool} answered without a plain {probe.found!r}.")
    reference = answer.get(probe.reference)
    return ProbeResult(
        found=found,
        result=answer.get(probe.result) if found else None,
        reference=str(reference) if found and reference else "",
        detail=f"{probe.tool} says that it {'happened' if found else 'did not happen'}.",
    )


async def discover(server: Server) -> list[ToolSpec]:
    """All tools that a server offers now, with their schemas. Raises TryLater, ToolFailed.

    What the file promises of a tool stands. An unlisted tool reads where it is annotated as reading only; without an
    annotation it writes, and only a person can tell whether a call happened.
    """
    found: list[ToolSpec] = []
    for listed in await _client().list_tools(server):
        reads = bool(listed.annotations and listed.annotations.read_only_hint)
        unlisted = RemoteTool(effect=EffectClass.READ if reads else EffectClass.WRITE, title=listed.title or "")
        entry = server.tools.get(listed.name, unlisted)
        try:
            found.append(spec(server, listed.name, entry=entry, schema=listed.input_schema))
        except InvalidInput as error:
            facts = {"action": "tool_left_out", "server": server.name, "tool": listed.name, "why": str(error)}
            logger.warning("a tool's schema can not be used", extra=facts)
    return found
