"""Which versions of agents demand isolation, and what of it is missing here.

An agent whose tools only read, and whose data is ordinary, demands none: what it is tricked into can be read in the
journal and undoes nothing. One that writes, or that reads what may not get out, is put in force only where the last
self-test of the sandbox found all capabilities. Must not start anything: the self-test is the sandbox's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from missions import data_classes
from missions.agents import reach
from missions.errors import StandfastError
from missions.governance import Json
from missions.models import AgentVersion, Isolation
from missions.sandbox import report
from missions.sandbox.capabilities import Capability

ORDINARY: Final = data_classes.opened(("internal",))  # data that demands no isolation
NAMED: Final = 5  # tools in one sentence
CAPABILITIES: Final = tuple(map(str, Capability))


class IsolationAbsent(StandfastError):
    """This version demands isolation that is absent here; nothing was changed."""

    code = "isolation_absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a version demands, why, and what of that is missing here."""

    because: tuple[str, ...]  # empty: it demands none
    missing: Mapping[str, str]  # capability → why, and how to mend it
    driver: str = ""
    checked_at: str = ""  # RFC 3339; empty: no self-test has run

    @property
    def is_demanded(self) -> bool:
        """Whether the version demands isolation at all."""
        return bool(self.because)

    @property
    def is_absent(self) -> bool:
        """Whether it is kept from coming into force."""
        return self.is_demanded and bool(self.missing)

    def as_json(self) -> Json:
        """As an activation records it."""
        told = {"because": list(self.because), "missing": dict(self.missing)}
        return {**told, "driver": self.driver, "checked_at": self.checked_at}


def standing(version: AgentVersion) -> Standing:
    """What this version demands now, by the tools that are registered here now."""
    because = demanded(version.tools, version.data_classes, version.isolation)
    if not because:
        return Standing(because=(), missing={})
    missing, driver, checked_at = absent()
    return Standing(because=because, missing=missing, driver=driver, checked_at=checked_at)


def demanded(tools: Sequence[str], classes: Sequence[str], isolation: str) -> tuple[str, ...]:
    """Why such a version demands isolation, in sentences; empty where it demands none."""
    because = []
    if isolation == Isolation.SANDBOX:
        because.append("The version asks for a sandbox.")
    if writes := reach.writing(tools):
        more = f" and {len(writes) - NAMED} more" if len(writes) > NAMED else ""
        because.append(f"It may write with {', '.join(writes[:NAMED])}{more}.")
    if guarded := [name for name in classes if name not in ORDINARY]:
        because.append(f"It is cleared for data that is {', '.join(guarded)}.")
    return tuple(because)


def demand(version: AgentVersion) -> Standing:
    """How it stands. Raises IsolationAbsent, which names what is missing and how to mend that."""
    found = standing(version)
    if found.is_absent:
        gaps = " ".join(f"{name}: {why}" for name, why in found.missing.items())
        message = f"{version} demands isolation that is absent here. {' '.join(found.because)} Missing: {gaps}"
        raise IsolationAbsent(message, **found.as_json())
    return found


def absent() -> tuple[dict[str, str], str, str]:
    """What the last self-test of the sandbox found missing, by which driver, and when; all where none has run."""
    told = report.current()
    missing = {name: told.missing.get(name, report.UNTESTED) for name in CAPABILITIES if name not in told.capabilities}
    return missing, told.driver, told.checked_at.isoformat() if told.checked_at is not None else ""
