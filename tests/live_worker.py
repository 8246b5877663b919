"""A real mission worker in a thread of the test, on the test's own database; and how to wait for a mission."""

from __future__ import annotations

from missions.testing.workers import PATIENCE, ended, parked, wait_until, worker

__all__ = ["PATIENCE", "ended", "parked", "wait_until", "worker"]
