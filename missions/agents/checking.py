"""What a version of an agent may say: checked before it is kept, field by field, with what is odd about it as warnings.

Reads the registry of tools, the agents and the settings; keeps nothing. An error keeps a version from being saved; a
warning is kept with it, since what it names may come with the next deploy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.conf import settings

from missions import data_classes
from missions.agents import reach
from missions.engine.registry import all_types
from missions.errors import InvalidInput
from missions.governance import Json
from missions.models import Isolation, MemoryScope
from missions.tools import learning
from missions.tools.registry import all_tools

TITLE_CHARACTERS: Final = 200
INSTRUCTIONS_BYTES: Final = 64 * 1024
MOST: Final = {"llm": 10, "tools": 100, "egress": 50, "data_classes": data_classes.MOST}
ITEM_CHARACTERS: Final = 200
TURNS, TOKENS, COST = 10_000, 10**9, Decimal(10**9)
MEMBER: Final = re.compile(r"[A-Za-z0-9_-]{1,50}/[^\s,]{1,140}")
TOOL: Final = re.compile(r"[^\s,]+")
PLACE: Final = re.compile(
    r"(?P<host>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]):(?P<port>[1-9][0-9]{0,4})"
)


@dataclass(slots=True)
class Findings:
    """What a check has found: errors keep the version from being saved, warnings are kept with it."""

    errors: list[Json] = field(default_factory=list)
    warnings: list[Json] = field(default_factory=list)

    def wrong(self, name: str, message: str) -> None:
        """Note an error."""
        self.errors.append({"field": name, "message": message})

    def odd(self, name: str, message: str) -> None:
        """Note a warning."""
        self.warnings.append({"field": name, "message": message})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What may be saved: the fields `identities.SAID` as JSON's own types, and what is odd about them."""

    said: Json
    warnings: tuple[Json, ...]


def check(said: Mapping[str, Any], *, agent: str) -> Checked:
    """Check all fields of a version of this agent; a field that is not given is empty. Raises InvalidInput."""
    learning.refresh()
    found = Findings()
    checked = {name: read(said.get(name), name, found) for name, read in _READ.items()}
    if not found.errors:
        for look in (_look_at_llm, _look_at_tools, _look_at_classes):
            look(checked, agent, found)
    if found.errors:
        raise InvalidInput("This version can not be taken.", errors=found.errors)
    return Checked(said=checked, warnings=tuple(found.warnings))


# -- Shapes, field by field --------------------------------------------------------------------------------------------


def _title(value: Any, name: str, found: Findings) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= TITLE_CHARACTERS or not text.isprintable():
        found.wrong(name, f"One line of 1 to {TITLE_CHARACTERS} characters.")
    return text


def _instructions(value: Any, name: str, found: Findings) -> str:
    text = value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""
    if not text:
        found.wrong(name, "Say what the agent is for, and how it is to work.")
    if not _is_storable(text):
        found.wrong(name, "It holds a character that can not be stored.")
    elif len(text.encode()) > INSTRUCTIONS_BYTES:
        found.wrong(name, f"It takes {len(text.encode()):,} bytes; the limit is {INSTRUCTIONS_BYTES:,}.")
    return text


def _is_storable(text: str) -> bool:
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _items(value: Any, name: str, found: Findings) -> list[str]:
    """A list of different short texts without blanks."""
    given = [] if value is None else value
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        found.wrong(name, "A list of texts.")
        return []
    items = list(dict.fromkeys(item.strip() for item in given if item.strip()))
    if len(items) > MOST[name]:
        found.wrong(name, f"At most {MOST[name]}.")
    for item in items:
        if len(item) > ITEM_CHARACTERS or not item.isprintable():
            found.wrong(name, f"{item[:60]!r}: at most {ITEM_CHARACTERS} printable characters.")
    return items


def _each(pattern: re.Pattern[str], wanted: str) -> Callable[[Any, str, Findings], list[str]]:
    def read(value: Any, name: str, found: Findings) -> list[str]:
        items = _items(value, name, found)
        for item in items:
            if not pattern.fullmatch(item):
                found.wrong(name, f"{item[:60]!r} is no {wanted}.")
        return items

    return read


def _egress(value: Any, name: str, found: Findings) -> list[str]:
    items = [item.lower() for item in _items(value, name, found)]
    for item in items:
        place = PLACE.fullmatch(item)
        if place is None or int(place["port"]) > 65535 or ".." in item:
            found.wrong(name, f"{item[:60]!r} is no place: HOST:PORT, exactly, as in api.example.org:443.")
    return list(dict.fromkeys(items))


def _classes(value: Any, name: str, found: Findings) -> list[str]:
    try:
        return list(data_classes.clearance(_items(value, name, found)))
    except ValueError as error:
        found.wrong(name, f"{error}.")
        return []


def _budget(value: Any, name: str, found: Findings) -> Json:
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        found.wrong(name, "An object of turns, tokens and cost.")
        return {}
    kept = {key: one for key, one in given.items() if one not in (None, "")}
    for unknown in sorted(str(key)[:60] for key in kept.keys() - {"turns", "tokens", "cost"}):
        found.wrong(f"{name}.{unknown}", "There is no such budget: turns, tokens or cost.")
    for key, most in (("turns", TURNS), ("tokens", TOKENS)):
        one = kept.get(key, 1)
        if not isinstance(one, int) or isinstance(one, bool) or not 1 <= one <= most:
            found.wrong(f"{name}.{key}", f"A whole number from 1 to {most:,}.")
    if "cost" in kept:
        kept["cost"] = _cost(kept["cost"], f"{name}.cost", found)
    return kept


def _cost(value: Any, name: str, found: Findings) -> str:
    try:
        amount = Decimal(value) if isinstance(value, str) and len(value) <= 30 else Decimal("nan")
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 < amount <= COST:
        found.wrong(name, "An amount of money above nothing, as decimal text: 2.50.")
        return ""
    return f"{amount:f}"


def _choice(choices: Sequence[str]) -> Callable[[Any, str, Findings], str]:
    def read(value: Any, name: str, found: Findings) -> str:
        chosen = choices[0] if value is None else value
        if chosen not in choices:
            found.wrong(name, f"One of {', '.join(map(repr, choices))}.")
            return choices[0]
        return str(chosen)

    return read


_READ: Final[dict[str, Callable[[Any, str, Findings], Any]]] = {
    "title": _title, "instructions": _instructions, "llm": _each(MEMBER, "PROVIDER/MODEL, as in local/small"),
    "tools": _each(TOOL, "name or glob of tools"), "data_classes": _classes, "budget": _budget,
    "memory_scope": _choice(MemoryScope.values), "egress": _egress, "isolation": _choice(Isolation.values),
}  # in the order of `identities.SAID`


# -- What they name ----------------------------------------------------------------------------------------------------


def providers() -> frozenset[str]:
    """The names of the LLM providers that LLM_PROVIDERS configures."""
    return frozenset(settings.LLM_PROVIDERS)


def _look_at_llm(said: Json, agent: str, found: Findings) -> None:
    known = providers()
    if not known:
        found.odd("llm", "No LLM is configured here (LLM_PROVIDERS), so the agent can not work yet.")
        return
    if not said["llm"] and not settings.LLM_CHAIN:
        found.odd("llm", "It names no LLM, and there is no chain for all (LLM_CHAIN), so the agent can not work yet.")
    for member in said["llm"]:
        if (name := member.partition("/")[0]) not in known:
            there = ", ".join(sorted(known))
            found.wrong("llm", f"There is no provider {name}; LLM_PROVIDERS names {there}.")


def _look_at_tools(said: Json, agent: str, found: Findings) -> None:
    for pattern in reach.unmatched(said["tools"]):
        found.odd("tools", f"No tool here is called {pattern}. It counts as one that writes until it is known.")
    for pattern in reach.unknown_agents(said["tools"]):
        found.odd("tools", f"There is no {pattern} yet.")
    if reach.agent_tool(agent) in said["tools"]:
        found.odd("tools", "It may hand work to itself; its budgets alone end that.")


def _look_at_classes(said: Json, agent: str, found: Findings) -> None:
    borne = set(_borne())
    for name in said["data_classes"]:
        if name not in data_classes.LEVELS and name not in borne:
            found.odd("data_classes", f"No tool and no mission type here bears the label {name}.")


def _borne() -> Iterator[str]:
    yield from (tool.data_class for tool in all_tools())
    for kind in all_types():
        yield from kind.data_classes
