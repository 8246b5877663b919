"""For authors' tests: a worker in this process, a clock that moves, the other side, a gate that allows everything."""

from __future__ import annotations

from missions.testing.clock import Clock
from missions.testing.gates import allowing
from missions.testing.ledger import Fault, Ledger
from missions.testing.workers import ended, parked, story, wait_until, worker

__all__ = ["Clock", "Fault", "Ledger", "allowing", "ended", "parked", "story", "wait_until", "worker"]
