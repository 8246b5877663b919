"""How far a policy binds, by scope: the first row whose globs fit an intent, else the policy's own mode.

Pure. Rows are plain JSON: `{mission_type, tool, agent, mode}`, the first three globs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.models import Mode
from approvals.policies.implication import overlap
from approvals.policies.rules import matches
from missions.governance import Intent

Json = dict[str, Any]
SCOPED_BY: Final = ("mission_type", "tool", "agent")
LONGEST_GLOB: Final = 200
MOST_ROWS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """The modes of a policy."""

    whole: Mode
    rows: tuple[Json, ...] = ()

    @classmethod
    def of(cls, mode: str, rows: Iterable[Json]) -> Modes:
        """From what a policy's row holds."""
        return cls(whole=Mode(mode), rows=tuple(rows))

    def used(self) -> set[Mode]:
        """Every mode that may apply to something."""
        return {self.whole, *(Mode(row["mode"]) for row in self.rows)}

    def covering(self, intent: Intent) -> Mode:
        """The mode that applies to an intent."""
        found = (row["mode"] for row in self.rows if all(matches(row[by], getattr(intent, by)) for by in SCOPED_BY))
        return Mode(next(found, self.whole))

    def changed(self, mode: Mode | None, scope: Json | None) -> Modes:
        """With another mode for the whole, or for a scope: its row stays in place, a new one goes first."""
        if scope is None:
            return Modes(whole=mode or self.whole, rows=self.rows)
        row = {**scope, "mode": str(mode)}
        places = [place for place, one in enumerate(self.rows) if scope_of(one) == scope]
        kept = [one for one in self.rows if scope_of(one) != scope]
        if mode is not None:
            kept.insert(places[0] if places else 0, row)
        return Modes(whole=self.whole, rows=tuple(kept))

    def possible(self, scope: Json | None) -> set[Mode]:
        """The modes that may apply in a scope (None: where no row does)."""
        if scope is None:
            return {self.whole}
        found = set()
        for row in self.rows:
            if all(overlap(row[by], scope[by]) for by in SCOPED_BY):
                found.add(Mode(row["mode"]))
            if scope_of(row) == scope:
                return found
        return found | {self.whole}


def scope_of(row: Mapping[str, Any]) -> Json:
    """The scope of a row, or one that leaves globs out."""
    return {by: str(row.get(by, "*")) for by in SCOPED_BY}


def faults(scope: Mapping[str, Any]) -> list[str]:
    """What is wrong with a scope, in words."""
    others = [name for name in scope if name not in SCOPED_BY]
    unknown = [f"A mode has no scope {name!r}; known: {', '.join(SCOPED_BY)}." for name in others]
    texts = [(name, scope[name]) for name in SCOPED_BY if name in scope]
    return unknown + [
        f"{name} has to be a glob of at most {LONGEST_GLOB} characters." for name, value in texts
        if not isinstance(value, str) or len(value) > LONGEST_GLOB or "\x00" in value or (not value and name != "agent")
    ]


def lowers(before: Modes, after: Modes, scope: Json | None) -> bool:
    """Whether something in the scope may be bound before and not after."""
    return Mode.ENFORCE in before.possible(scope) and after.possible(scope) != {Mode.ENFORCE}


def raises(before: Modes, after: Modes, scope: Json | None) -> bool:
    """Whether something in the scope may be bound after and not before."""
    return Mode.ENFORCE in after.possible(scope) and before.possible(scope) != {Mode.ENFORCE}


def sentence(policy: str, mode: Mode | None, scope: Json | None, before: Modes) -> str:
    """A change in words."""
    if scope is None:
        return f"Change the mode of {policy} from {before.whole} to {mode}"
    where = ", ".join(f"{by.replace('_', ' ')} {scope[by] or 'none'}" for by in SCOPED_BY if scope[by] != "*")
    if mode is None:
        return f"Let {policy} have its own mode, {before.whole}, for {where or 'everything'}"
    return f"Set the mode of {policy} to {mode} for {where or 'everything'}"


def told(rows: Sequence[Json]) -> list[str]:
    """Rows in words, in order."""
    return [f"{row['mode']}: " + ", ".join(f"{by} {row[by] or 'none'}" for by in SCOPED_BY) for row in rows]
