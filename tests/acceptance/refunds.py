"""Single refunds: starting one, having it approved, and what became of it, all through the API."""

from __future__ import annotations

from tests.acceptance import checks
from tests.acceptance.people import Json
from tests.acceptance.processes import until
from tests.acceptance.system import System

AMOUNT = "40.00"
END_SECONDS = 60.0


def start(system: System, order: str) -> str:
    """Start a refund that needs a supervisor; its mission's id once sam is asked."""
    request = {"order_id": order, "amount": AMOUNT, "reason": "Arrived damaged"}
    uid = system.person("admin").start("refund", request)
    until("sam is asked", END_SECONDS, lambda: asked(system, "sam", uid))
    return uid


def asked(system: System, name: str, uid: str) -> list[Json]:
    """The decisions of this mission that wait for this person."""
    return [decision for decision in system.person(name).waiting() if decision["mission"] == uid]


def approved(system: System, order: str) -> str:
    """A refund that sam has just approved; its mission's id."""
    uid = start(system, order)
    (decision,) = asked(system, "sam", uid)
    assert system.person("sam").vote(decision, {"verdict": "approve"})
    return uid


def ended(system: System, uid: str) -> str:
    """The verdict of a mission, which has to complete."""
    mission = until("the mission ends", END_SECONDS, lambda: system.person("admin").ended(uid))
    assert mission["state"] == "completed", checks.history_of(system.facts(), uid)
    return str(mission["verdict"]["verdict"])


def entries(system: System, uid: str, kind: str) -> list[Json]:
    """The payloads of a mission's entries of one kind, in order."""
    status, told = system.person("admin").ask("GET", f"missions/{uid}/journal?kind={kind}&limit=100")
    assert status == 200, told
    return [entry["payload"] for entry in told["results"]]


def takeovers(system: System, uid: str) -> int:
    """How often the mission was taken over from a dead worker."""
    query = "select count(*) from missions_takeover where mission_id = %s"
    return int(system.database.value(query, system.mission_id(uid)))


def requests(system: System, uid: str) -> list[int]:
    """How often the payment server was asked under the key of each of a mission's intents."""
    return [system.payments.requests(intent["key"]) for intent in entries(system, uid, "intent")]
