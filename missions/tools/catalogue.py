"""Tools on MCP servers, as specs.

Listed tools are known without contacting their server. A schema that the file does not give is learnt from the server
when it is first wanted; tools that the file does not list follow the server's annotations once `discover` was asked.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from missions.engine.tool_forms import Sighting
from missions.errors import InvalidInput, OutcomeUnknown, ToolFailed, TryLater
from missions.governance import EffectClass, RetrySafety
from missions.tools import forms, schemas, server_file
from missions.tools.arguments import SchemaArguments
from missions.tools.servers import NAMED, Probe, RemoteTool, Server
from missions.tools.spec import ProbeResult, ToolCall, ToolSpec

logger = logging.getLogger(__name__)
# Whoever calls a tool gives up at its deadline; giving up a little earlier lets the client say whether it was sent.
HEADROOM = 0.95
TITLE_CHARACTERS = 100


@functools.cache
def _client() -> ModuleType:
    """The MCP client; its libraries take a second to import, which a process that calls no tool need not pay."""
    return importlib.import_module("missions.tools.mcp_client")


def warm() -> None:
    """Import the MCP client now, so that the first call does not hold up an event loop."""
    _client()


async def close_others(kept: Iterable[Server]) -> None:
    """Close this loop's connections to all other servers, where no call is under way."""
    await _client().close_others({server.identity for server in kept})


@functools.lru_cache(maxsize=8)
def servers(path: str | Path) -> tuple[Server, ...]:
    """The servers of a file, read once. Raises WrongCatalogue."""
    return tuple(server_file.read(path))


def load(path: str | Path) -> list[ToolSpec]:
    """The listed tools of a file's servers. Contacts nobody. Raises WrongCatalogue."""
    return [spec(server, tool) for server in servers(path) for tool in server.tools]


def spec(server: Server, tool: str, *, entry: RemoteTool | None = None) -> ToolSpec:
    """One tool of a server; `entry` where the file does not list it."""
    entry = entry or server.entry(tool)
    arguments = SchemaArguments(entry.args_schema, hidden=entry.key_argument)
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
        description=entry.description,
        title=entry.title or name.replace(".", " ").replace("_", " ").capitalize(),
        sentence=entry.sentence,
        data_class=entry.data_class,
        cost=entry.cost,
        timeout_seconds=entry.timeout,
        key_ttl_seconds=entry.key_ttl,
        origin=f"MCP server {server.name} ({tool})",
        untrusted=not server.trusted,
        sight=remote.sight,
        adopt=remote.adopt,
    )


def server_of(spec: ToolSpec) -> str:
    """The name of the server behind a tool; empty where it is a function here."""
    kind, _, rest = spec.origin.partition("MCP server ")
    return rest.partition(" (")[0] if not kind else ""


def withdrawn(spec: ToolSpec, server: str) -> ToolSpec:
    """The tool of a server that was taken away: what is on record of it stands, and each new call is refused.

    What is in doubt, people settle: nobody can be asked any more.
    """

    async def refuse(*call: Any, **args: Any) -> Any:
        raise ToolFailed(f"The MCP server {server} was taken away.", code="server_gone")

    return replace(
        spec, function=refuse, is_async=True, sight=refuse, probe=None, retry_safety=RetrySafety.MANUAL, is_gone=True,
        for_agents=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One tool of one server, callable."""

    server: Server
    tool: str
    entry: RemoteTool
    arguments: SchemaArguments
    adopted: dict[str, Any] = field(default_factory=dict)  # `digest` of the schema's form; `seen`: as last listed

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

    async def sight(self) -> Sighting:
        """How the server offers it now. Raises TryLater, ToolFailed (also where it does not)."""
        return self._seen(await _client().offered(self.server))

    def adopt(self, seen: Sighting) -> None:
        """Take the arguments' schema of a form, where the file gives none. Raises ToolFailed."""
        if self.entry.args_schema is None and self.adopted.get("digest") != seen.digest:
            try:
                schema = schemas.tame(seen.form["input_schema"], patterns=self.server.trusted)
                self.arguments.learn(schema)
            except InvalidInput as error:
                raise ToolFailed(f"The tool's schema can not be used: {error}", code="bad_schema") from error
            self.adopted["digest"] = seen.digest

    def _seen(self, offered: Mapping[str, Any]) -> Sighting:
        listed = offered.get(self.tool)
        if listed is None:
            raise ToolFailed(f"The server {self.server.name} offers no tool {self.tool!r}.", code="not_offered")
        known = self.adopted.get("seen")
        if known is None or known[0] is not listed:
            known = self.adopted["seen"] = listed, _sighting(self.server, listed)
        seen: Sighting = known[1]
        return seen


def _sighting(server: Server, listed: Any) -> Sighting:
    """Raises ToolFailed where it can not be judged."""
    try:
        return forms.sighting(server.name, server.registered_name(listed.name), listed)
    except InvalidInput as error:
        raise ToolFailed(f"{error} It is not called.", code="bad_form") from error


def _probed(answer: Any, probe: Probe) -> ProbeResult:
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


async def sightings(server: Server) -> list[Sighting]:
    """All tools that a server offers now, as far as they can be judged. Raises TryLater, ToolFailed."""
    found: list[Sighting] = []
    for listed in (await _client().offered(server)).values():
        try:
            found.append(_sighting(server, listed))
        except ToolFailed as error:
            _left_out(server, listed.name, error)
    return found


def unlisted(server: Server, seen: Sighting, *, by_person: bool = False) -> ToolSpec | None:
    """A tool that the file does not list, as its server offers it; None where the file does, or it has no proper name.

    Its annotations, title and description count where the file trusts the server, or a person has accepted just this
    form of it; else they can only make it stricter, and it is called by its name.
    """
    tool = seen.tool.removeprefix(server.registered_name(""))
    if tool in server.tools or NAMED.fullmatch(tool) is None:
        return None
    believed = server.trusted or by_person
    title, description = (str(seen.form.get(word, "")) if believed else "" for word in ("title", "description"))
    effect = forms.effect_of(seen.form, believed=believed)
    entry = RemoteTool(effect=effect, title=title[:TITLE_CHARACTERS], description=description)
    found = spec(server, tool, entry=entry)
    if found.adopt is not None:
        found.adopt(seen)
    return found


def discovered(server: Server, offered: Sequence[Sighting], by_people: Mapping[str, bool]) -> list[ToolSpec]:
    """The unlisted tools among those that a server offers, with their schemas; what can not be used is left out."""
    found: list[ToolSpec] = []
    for seen in offered:
        try:
            if (one := unlisted(server, seen, by_person=by_people.get(seen.tool, False))) is not None:
                found.append(one)
        except ToolFailed as error:
            _left_out(server, seen.tool, error)
    return found


def _left_out(server: Server, tool: str, why: ToolFailed) -> None:
    facts = {"action": "tool_left_out", "server": server.name, "tool": tool[:100], "why": str(why)}
    logger.warning("a tool can not be used", extra=facts)
