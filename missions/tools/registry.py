"""The tools of this process: name → spec.

Filled by the `tool` decorator when the modules of MISSIONS_MODULES are imported, and from the file of MCP servers that
MISSIONS_MCP_SERVERS names. Never contacts a server by itself: a worker starts while a tool's server is down.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from django.conf import settings

from missions import data_classes
from missions.engine.checkpoints import seconds_of
from missions.errors import UnknownTool
from missions.governance import EffectClass, RetrySafety
from missions.secrets import references
from missions.tools import catalogue
from missions.tools.arguments import FunctionArguments
from missions.tools.spec import ProbeFunction, ProbeResult, Secrets, ToolCall, ToolFunction, ToolSpec

__all__ = ["ProbeResult", "ToolCall", "ToolSpec", "all_tools", "get_tool", "register", "tool"]

Function = TypeVar("Function", bound=Callable[..., Any])
_tools: dict[str, ToolSpec] = {}


def tool(
    *,
    name: str = "",
    effect: EffectClass | str = EffectClass.READ,
    retry_safety: RetrySafety | str = RetrySafety.MANUAL,
    probe: ProbeFunction | None = None,
    compensate: str = "",
    title: str = "",
    sentence: str = "",
    data_class: str = "",
    cost: str = "",
    timeout: float | dt.timedelta = 30.0,
    heartbeat_timeout: float | dt.timedelta | None = None,
    key_ttl: float | None = None,
    workspace: bool = False,
    untrusted: bool = False,
    for_agents: bool = True,
    secrets: Secrets | None = None,
) -> Callable[[Function], Function]:
    """Register a function `(call: ToolCall, **args)` as a tool. Durations are seconds, or timedeltas.

    The name defaults to the function's, its first underscore a dot; the title to the first line of its docstring.
    Raises ValueError or TypeError where what is declared can not hold together.
    """

    def decorate(function: Function) -> Function:
        named = name or function.__name__.replace("_", ".", 1)
        arguments = FunctionArguments(function, named)
        register(ToolSpec(
            name=named,
            function=_decoding(function, arguments),
            arguments=arguments,
            is_async=inspect.iscoroutinefunction(function),
            effect=EffectClass(effect),
            retry_safety=RetrySafety(retry_safety),
            probe=None if probe is None else _decoding(probe, arguments),
            compensate=compensate,
            title=title or _title(function, named),
            sentence=sentence,
            data_class=data_classes.checked(data_class),
            cost=cost,
            timeout_seconds=seconds_of(timeout),
            heartbeat_timeout_seconds=None if heartbeat_timeout is None else seconds_of(heartbeat_timeout),
            workspace=workspace,
            untrusted=untrusted,
            for_agents=for_agents,
            secrets=secrets or {},
            key_ttl_seconds=key_ttl,
            returns=None if arguments.returns in (Any, type(None)) else arguments.returns,
            origin=f"{function.__module__}.{function.__qualname__}",
        ))
        return function

    return decorate


def _title(function: Callable[..., Any], name: str) -> str:
    first = (inspect.getdoc(function) or "").split("\n", 1)[0].strip().rstrip(".")
    return first or name.replace(".", " ").replace("_", " ").capitalize()


def _decoding(function: ToolFunction, arguments: FunctionArguments) -> ToolFunction:
    """The function, called with plain JSON instead of the values that it declares."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run(call: ToolCall, **args: Any) -> Any:
            return await function(call, **arguments.bind(args))

        return run

    @functools.wraps(function)
    def run_in_thread(call: ToolCall, **args: Any) -> Any:
        return function(call, **arguments.bind(args))

    return run_in_thread


def register(spec: ToolSpec) -> ToolSpec:
    """Add a tool. Raises ValueError for a second one under its name, and for promises that nothing backs."""
    known = _tools.get(spec.name)
    if known is not None and known.origin != spec.origin:
        raise ValueError(f"tool {spec.name!r} is registered twice: by {known.origin} and by {spec.origin}")
    if spec.retry_safety is RetrySafety.VERIFIABLE and spec.probe is None:
        raise ValueError(f"tool {spec.name!r} is verifiable: it wants a probe")
    if spec.effect is EffectClass.READ and spec.compensate:
        raise ValueError(f"tool {spec.name!r} reads: there is nothing to compensate")
    silence = spec.heartbeat_timeout_seconds
    if not spec.timeout_seconds > 0 or (silence is not None and not silence > 0):
        raise ValueError(f"tool {spec.name!r}: its time-out wants more than 0 seconds")
    for reference in () if callable(spec.secrets) else spec.secrets.values():
        if not references.is_reference(reference):
            raise ValueError(f"tool {spec.name!r}: a secret is named env:NAME, file:/path or db:NAME")
    _tools[spec.name] = spec
    return spec


def replace(servers: Collection[str], specs: Iterable[ToolSpec]) -> list[tuple[str, str]]:
    """Know these tools from now on, and of these MCP servers no others: a tool that stays is there all the while.

    Returns name and why of each that can not be used: another one has its name.
    """
    left_out, kept = [], set()
    for spec in specs:
        try:
            kept.add(register(spec).name)
        except ValueError as error:
            left_out.append((spec.name, str(error)))
    own = tuple(f"MCP server {server} (" for server in servers)
    for name in [spec.name for spec in list(_tools.values()) if own and spec.origin.startswith(own)]:
        if name not in kept:
            _tools.pop(name, None)
    return left_out


@functools.cache
def _discovered() -> dict[str, ToolSpec]:
    """Import the modules that hold tools and read the file of MCP servers, once."""
    for module in settings.MISSIONS_MODULES:
        importlib.import_module(module)
    for spec in catalogue.load(settings.MISSIONS_MCP_SERVERS):
        register(spec)
    return _tools


def get_tool(name: str) -> ToolSpec:
    """The tool of this name. Raises UnknownTool."""
    try:
        return _discovered()[name]
    except KeyError:
        known = ", ".join(sorted(_tools)) or "none"
        raise UnknownTool(f"There is no tool {name!r}; known here: {known}.", name=name) from None


def all_tools() -> list[ToolSpec]:
    """All tools known here, by name."""
    return sorted((spec for spec in list(_discovered().values()) if not spec.is_gone), key=lambda spec: spec.name)
