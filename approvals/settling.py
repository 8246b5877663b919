"""What follows from a settled decision that no mission waits for, by kind; and who is barred from one.

Layers above register handlers. A handler of `on_settled` runs inside the transaction that settles, under the decision's
row lock, and may take later locks (docs/locking.md); what it raises undoes the vote. Handlers look at the decision's
state: approved is only one of its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from approvals.models import Decision

Handler = Callable[[Decision], None]
Barring = Callable[[Decision], Mapping[int, str]]
_settled: dict[str, Handler] = {}
_outdated: dict[str, Handler] = {}
_barred: dict[str, Barring] = {}


def on_settled(kind: str) -> Callable[[Handler], Handler]:
    """Register what follows when a decision of this kind is settled, however."""

    def register(function: Handler) -> Handler:
        _settled[kind] = function
        return function

    return register


def before_votes(kind: str) -> Callable[[Handler], Handler]:
    """Register what brings an open decision of this kind up to date before a vote on it is judged."""

    def register(function: Handler) -> Handler:
        _outdated[kind] = function
        return function

    return register


def bars(kind: str) -> Callable[[Barring], Barring]:
    """Register who never counts in a decision of this kind: user ids, each with the reason in words for them."""

    def register(function: Barring) -> Barring:
        _barred[kind] = function
        return function

    return register


def settled(decision: Decision) -> None:
    """Let follow what follows. The caller has just settled the decision and holds its row lock."""
    if handler := _settled.get(decision.kind):
        handler(decision)


def catch_up(decision: Decision) -> None:
    """Bring an open decision up to date. The caller holds its row lock."""
    handler = _outdated.get(decision.kind)
    if handler is not None and decision.is_open:
        handler(decision)


def barred(decision: Decision) -> Mapping[int, str]:
    """Who never counts in this decision beside those who asked, and why."""
    handler = _barred.get(decision.kind)
    return handler(decision) if handler else {}
