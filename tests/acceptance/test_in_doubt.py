"""A refund was posted, and nobody was told: what each retry safety makes of it, by the ledger and the journal.

The payment server never answers after it posted, or dies between posting and answering; a worker dies with a call
intended and not yet made. Refunds have a time-out of three seconds here.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance import checks
from tests.acceptance.people import Json, Person
from tests.acceptance.processes import until
from tests.acceptance.system import Ground, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
END_SECONDS = 60.0
Running = Callable[[str], System]


@pytest.fixture(scope="module")
def running(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One system a retry safety, with web, payment server and a worker."""
    systems: dict[str, System] = {}

    def run(safety: str) -> System:
        if safety not in systems:
            system = systems[safety] = System(ground, tmp_path_factory.mktemp(safety))
            system.start_payments(safety)
            system.start_web()
            system.start_worker()
        return systems[safety]

    yield run
    for system in systems.values():
        wrong = checks.unsound(system.facts())
        system.end()
        assert wrong == []


@pytest.fixture
def system(running: Running, request: pytest.FixtureRequest) -> System:
    """The system of the retry safety that the test names."""
    return running(request.param)


def with_safety(safety: str) -> pytest.MarkDecorator:
    """Run the test on the system whose refunds have this retry safety."""
    return pytest.mark.parametrize("system", [safety], indirect=True)


def refund(system: System, order: str) -> str:
    """Start a refund and let sam approve it; the mission's id once it is in a supervisor's hands."""
    request = {"order_id": order, "amount": "40.00", "reason": "Arrived damaged"}
    uid = system.person("admin").start("refund", request, key=order)
    sam = system.person("sam")
    until("sam is asked", END_SECONDS, lambda: [vote(sam, item) for item in sam.waiting() if item["mission"] == uid])
    return uid


def vote(person: Person, decision: Json) -> bool:
    """Approve an action."""
    return person.vote(decision, {"verdict": "approve"})


def ended(system: System, uid: str) -> Json:
    """The mission as it ended; it has to have completed."""
    mission = until("the mission ends", END_SECONDS, lambda: system.person("admin").ended(uid))
    assert mission["state"] == "completed", checks.history_of(system.facts(), uid)
    return mission


def entries(system: System, uid: str, kind: str) -> list[Json]:
    """The payloads of a mission's entries of one kind, as the API tells them."""
    status, told = system.person("admin").ask("GET", f"missions/{uid}/journal?kind={kind}&limit=100")
    assert status == 200, told
    return [entry["payload"] for entry in told["results"]]


def lose_the_answer(system: System, fault: str, order: str) -> str:
    """A refund whose posting is not answered, because the server hangs or dies; a dead one comes back."""
    system.payments.set(**{fault: 1})
    uid = refund(system, order)
    if fault == "die_after_posting":
        assert system.payments.process.wait(END_SECONDS) == -signal.SIGKILL
        system.payments.stop()
        system.payments.start()
    return uid


FAULTS = pytest.mark.parametrize(
    ("fault", "order"), [("timeout_after_posting", "ORD-1001"), ("die_after_posting", "ORD-1002")]
)


@FAULTS
@with_safety("keyed")
def test_keyed_refund_is_called_again_with_the_same_key(system: System, fault: str, order: str) -> None:
    uid = lose_the_answer(system, fault, order)
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    (intent,) = entries(system, uid, "intent")
    retries = entries(system, uid, "retry")
    assert len(entries(system, uid, "doubt")) == 1
    assert retries and {retry["key"] for retry in retries} == {intent["key"]}
    assert system.payments.refunds(order) == ["40.00"]
    assert system.payments.requests(intent["key"]) == 2  # a retry that found nobody listening asked for nothing


@FAULTS
@with_safety("verifiable")
def test_verifiable_refund_is_found_by_its_probe_and_adopted(system: System, fault: str, order: str) -> None:
    uid = lose_the_answer(system, fault, order)
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    (intent,) = entries(system, uid, "intent")
    assert entries(system, uid, "probed")[-1]["found"] is True
    outcome = entries(system, uid, "outcome")[-1]
    assert (outcome["state"], outcome["adopted"]) == ("done", True)
    assert outcome["result"]["reference"] == outcome["reference"]
    assert entries(system, uid, "retry") == []
    assert system.payments.refunds(order) == ["40.00"]
    assert system.payments.requests(intent["key"]) == 1


def in_doubt(system: System, uid: str) -> Json:
    """The decision that asks olivia whether it happened."""
    olivia = system.person("olivia")
    (decision,) = until(
        "olivia is asked", END_SECONDS, lambda: [item for item in olivia.waiting() if item["mission"] == uid]
    )
    assert decision["kind"] == "in_doubt"
    assert [choice["value"] for choice in decision["choices"]] == ["happened", "retry", "roll_back"]
    return dict(decision)


@FAULTS
@with_safety("manual")
def test_manual_refund_that_happened_is_adopted_on_a_persons_word(system: System, fault: str, order: str) -> None:
    uid = lose_the_answer(system, fault, order)
    decision = in_doubt(system, uid)
    (reference,) = system.payments.rows("select 'RF-' || printf('%06d', id) from payments where order_id = ?", order)
    answer = {"verdict": "approve", "choice": "happened", "reference": reference[0]}
    assert system.person("olivia").vote(decision, answer)
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    (intent,) = entries(system, uid, "intent")
    outcome = entries(system, uid, "outcome")[-1]
    assert (outcome["state"], outcome["adopted"], outcome["reference"]) == ("done", True, reference[0])
    assert system.payments.refunds(order) == ["40.00"]
    assert system.payments.requests(intent["key"]) == 1


def cut_off(system: System, order: str) -> str:
    """A refund whose only worker dies with the call intended and not made; another worker takes over."""
    for process in system.processes:
        if process.name.startswith("worker"):
            process.kill()
    victim = system.start_worker(crash_at="after_intent")
    uid = refund(system, order)
    assert victim.wait(END_SECONDS) == -signal.SIGKILL
    system.start_worker()
    return uid


@with_safety("manual")
def test_manual_refund_that_did_not_happen_is_made_on_a_persons_word(system: System) -> None:
    uid = cut_off(system, "ORD-1003")
    assert system.person("olivia").vote(in_doubt(system, uid), {"verdict": "approve", "choice": "retry"})
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    first, second = entries(system, uid, "intent")
    assert (first["generation"], second["generation"]) == (1, 2)
    assert [system.payments.requests(intent["key"]) for intent in (first, second)] == [0, 1]
    assert system.payments.refunds("ORD-1003") == ["40.00"]


@with_safety("manual")
def test_manual_refund_in_doubt_can_be_left_at_that(system: System) -> None:
    uid = cut_off(system, "ORD-1004")
    assert system.person("olivia").vote(in_doubt(system, uid), {"verdict": "approve", "choice": "roll_back"})
    assert ended(system, uid)["verdict"]["verdict"] == "stopped"
    assert system.payments.refunds("ORD-1004") == []


@with_safety("verifiable")
def test_verifiable_refund_that_never_left_is_made_after_its_deadline(system: System) -> None:
    uid = cut_off(system, "ORD-1005")
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    first, second = entries(system, uid, "intent")
    assert [system.payments.requests(intent["key"]) for intent in (first, second)] == [0, 1]
    assert entries(system, uid, "probed")[-1]["found"] is False
    assert system.payments.refunds("ORD-1005") == ["40.00"]


@with_safety("keyed")
def test_keyed_refund_that_never_left_is_made_under_its_first_key(system: System) -> None:
    uid = cut_off(system, "ORD-1006")
    assert ended(system, uid)["verdict"]["verdict"] == "refunded"
    (intent,) = entries(system, uid, "intent")
    assert system.payments.requests(intent["key"]) == 1
    assert system.payments.refunds("ORD-1006") == ["40.00"]
