"""Other systems open decisions over REST: ruled on, asked of people, answered, taken back; once each key."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from pytest_django import Settings

from approvals import delegations, holding, votes
from approvals.models import Decision, Event, External
from approvals.outbound import asks, external
from approvals.policies import document, versions
from missions.engine import stops
from missions.engine.clock import database_now
from missions.errors import InvalidInput
from missions.web import tokens
from tests.conftest import Person
from tests.policies import row
from tests.web.rest import client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
REFUND = {"tool": "refunds.pay", "args": {"amount": "900.00", "currency": "GBP"}, "effect_class": "write"}
BODY: dict[str, Any] = {"sentence": "Refund £900.00 to A. Patel", "action": REFUND, "source": "shop-agent"}
QUESTION: dict[str, Any] = {"sentence": "Which depot?", "tiers": [{"group": "supervisors"}], "choices": [
    {"value": "north", "label": "The northern one"}, {"value": "south", "label": "The southern one"},
]}  # fmt: skip


def acting(user: User, agent: str = "") -> Any:
    """A program with a token of this person's that stands for this agent."""
    return client_of(token=tokens.issue(user, scopes=("decisions:open", "decisions:read"), agent=agent)[1])


@pytest.fixture
def robot(person: Person) -> User:
    return person("robot")


@pytest.fixture
def agent(robot: User) -> Any:
    """A program elsewhere, with a token that opens and reads decisions and does nothing else."""
    return acting(robot, "shop-agent")


def in_force(*rules: dict[str, Any]) -> None:
    versions.load(document.check({"name": "outside", "rules": list(rules)}), activate=True)


def escalating() -> dict[str, Any]:
    return row("ask", "escalate", scope={"mission_type": "external", "agent": "shop-*"}, reason="Money moves.")


def test_policy_escalates_people_answer_and_the_opener_reads_the_result(agent: Any, robot: User, sam: User) -> None:
    in_force(escalating())
    response = post(agent, "/decisions", {**BODY, "evidence": [{"title": "The order", "total": "900.00"}]})
    assert response.status_code == 201, response.content
    opened = response.json()
    assert (opened["kind"], opened["state"], opened["mission"]) == ("external", "open", None)
    assert [tier["approvers"] for tier in opened["tiers"]] == ["supervisors"]
    assert opened["policy"]["name"] == "outside" and opened["reason"] == "Money moves."
    assert opened["blast"]["money"] == {"amount": "900.00", "currency": "GBP"}
    assert "callback_secret" not in opened
    votes.cast(opened["id"], sam, "approve", opened["digest"], channel="api")
    now = agent.get(f"/api/v1/decisions/{opened['id']}").json()
    assert now["state"] == "approved" and now["resolution"]["by"] == ["sam"]


def test_what_policy_allows_is_born_approved_and_what_it_denies_born_rejected(agent: Any) -> None:
    in_force(
        row("small", "allow", when="double(args.amount) < 10.0"), row("large", "deny", reason="Never that much.",
        when="double(args.amount) > 5000.0"),
    )  # fmt: skip
    small = post(agent, "/decisions", {**BODY, "action": {**REFUND, "args": {"amount": "5"}}}).json()
    assert (small["state"], small["resolution"]["by"], small["tiers"]) == ("approved", [], [])
    large = post(agent, "/decisions", {**BODY, "action": {**REFUND, "args": {"amount": "9000"}}}).json()
    assert (large["state"], large["resolution"]["comment"]) == ("rejected", "Never that much.")
    middle = post(agent, "/decisions", {**BODY, "tiers": [{"group": "supervisors"}]})
    assert problem_of(middle, 422, "invalid_input")  # nobody is in that group here
    assert Event.objects.filter(kind="decision.settled").count() == 2


def test_without_a_policy_that_speaks_writes_are_denied_whoever_is_named(agent: Any, sam: User) -> None:
    opened = post(agent, "/decisions", {**BODY, "tiers": [{"group": "supervisors"}]}).json()
    assert opened["state"] == "rejected"


def test_a_tool_that_is_known_here_is_no_read_because_its_caller_says_so(agent: Any) -> None:
    action = {"tool": "payments.refund", "args": {"amount": "9.00"}, "effect_class": "read"}
    opened = post(agent, "/decisions", {**BODY, "action": action}).json()
    assert (opened["state"], opened["action"]["effect_class"]) == ("rejected", "write")


@pytest.mark.parametrize("effect", ["allow", "escalate"])
def test_what_rests_on_evidence_that_nobody_has_read_is_denied(agent: Any, sam: User, effect: str) -> None:
    in_force(row("seen", effect, evidence=[{"source": "orders.get", "max_age": "1h"}]))
    opened = post(agent, "/decisions", BODY).json()
    assert opened["state"] == "rejected" and "evidence of orders.get" in opened["resolution"]["comment"]


@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_rule_that_reads_a_budget_errs_on_the_strict_side(agent: Any, sam: User, effect: str) -> None:
    in_force(row("room", effect, when='budget.left["daily-refunds"] > 50.0'))
    opened = post(agent, "/decisions", BODY).json()
    assert opened["state"] == "rejected" and opened["policy"]["rules"] == (["room"] if effect == "deny" else [])


@pytest.mark.parametrize(
    "stop", [("all", ""), ("mission_type", "external"), ("tool", "refunds.pay"), ("agent", "shop-agent")]
)
def test_what_is_stopped_is_not_approved_for_others_either(agent: Any, sam: User, stop: tuple[str, str]) -> None:
    in_force(row("fine", "allow"))
    pressed = stops.press(*stop, reason="Fire.", by="olivia")
    opened = post(agent, "/decisions", BODY).json()
    assert opened["state"] == "rejected" and "stopped" in opened["resolution"]["comment"]
    assert post(agent, "/decisions", QUESTION).json()["state"] == "open"  # it does nothing by itself
    stops.lift(pressed.pk, by="paula")
    assert post(agent, "/decisions", BODY).json()["state"] == "approved"


def test_a_held_approval_is_told_once_it_can_not_be_undone(agent: Any, sam: User, clock: Any) -> None:
    in_force(row("held", "escalate", hold="10m"))
    opened = post(agent, "/decisions", BODY).json()
    votes.cast(opened["id"], sam, "approve", opened["digest"], channel="api")
    now = agent.get(f"/api/v1/decisions/{opened['id']}").json()
    assert now["state"] == "approved" and now["hold_until"] and now["released_at"] is None
    told = Event.objects.filter(kind="decision.settled")
    assert not told.exists()
    clock.advance(seconds=601)
    with transaction.atomic():
        assert holding.release(Decision.objects.get().pk)
    assert told.count() == 1


def test_a_held_approval_of_somebody_who_has_no_right_by_then_is_asked_again(
    agent: Any, sam: User, fiona: User, clock: Any
) -> None:
    in_force(row("held", "escalate", hold="10m"))
    opened = post(agent, "/decisions", BODY).json()
    given = delegations.give(sam, "fiona", until=database_now() + dt.timedelta(days=1))
    votes.cast(opened["id"], fiona, "approve", opened["digest"], channel="api")
    delegations.revoke(given.pk, sam)
    clock.advance(seconds=601)
    with transaction.atomic():
        assert not holding.release(Decision.objects.get().pk)
    now = agent.get(f"/api/v1/decisions/{opened['id']}").json()
    assert (now["state"], now["hold_until"], now["tiers"][0]["state"]) == ("open", None, "open")
    assert not Event.objects.filter(kind="decision.settled").exists()
    assert [one.pk for one in Decision.objects.for_voter(sam)] == [uuid.UUID(opened["id"])]
    votes.cast(opened["id"], sam, "approve", opened["digest"], channel="api")
    clock.advance(seconds=601)
    with transaction.atomic():
        assert holding.release(Decision.objects.get().pk)


def test_policies_and_stops_go_by_the_agent_of_the_token_whatever_the_caller_calls_itself(
    agent: Any, robot: User, sam: User
) -> None:
    in_force(row("calm", "allow", scope={"agent": "calm-agent"}), escalating())
    claimed = {**BODY, "source": "calm-agent"}
    opened = post(agent, "/decisions", claimed).json()
    assert (opened["state"], opened["agent"], opened["facts"]["source"]) == ("open", "shop-agent", "calm-agent")
    assert post(acting(robot), "/decisions", claimed).json()["state"] == "rejected"  # nobody's agent: no rule speaks
    assert post(client_of(sam), "/decisions", claimed).json()["agent"] == ""
    stops.press("agent", "calm-agent", reason="Fire.", by="olivia")
    assert post(agent, "/decisions", claimed).json()["state"] == "open"
    calm = post(acting(robot, "calm-agent"), "/decisions", BODY).json()
    assert (calm["state"], calm["agent"]) == ("rejected", "calm-agent")


def test_what_one_agent_may_is_no_answer_to_another_of_the_same_person(agent: Any, robot: User) -> None:
    in_force(row("fine", "allow", scope={"agent": "shop-agent"}))
    body = {**BODY, "key": "order-1"}
    assert post(agent, "/decisions", body).json()["state"] == "approved"
    problem_of(post(acting(robot, "other-agent"), "/decisions", body), 409, "key_reused")


@pytest.mark.parametrize(("said", "counts"), [("read", "write"), ("write", "write"), ("irreversible", "irreversible")])
def test_a_tool_that_nobody_here_knows_writes_at_least(agent: Any, said: str, counts: str) -> None:
    opened = post(agent, "/decisions", {**BODY, "action": {**REFUND, "effect_class": said}}).json()
    assert (opened["state"], opened["action"]["effect_class"]) == ("rejected", counts)


def test_a_tool_that_is_known_to_read_may_be_said_to_do_worse(agent: Any) -> None:
    action = {"tool": "orders.get", "args": {}, "effect_class": "read"}
    assert post(agent, "/decisions", {**BODY, "action": action}).json()["state"] == "approved"
    worse = post(agent, "/decisions", {**BODY, "action": {**action, "effect_class": "write"}}).json()
    assert (worse["state"], worse["action"]["effect_class"]) == ("rejected", "write")


def test_a_callers_tiers_only_add(agent: Any, robot: User, sam: User, fiona: User) -> None:
    in_force(escalating(), row("fine", "allow", scope={"agent": "calm"}))
    opened = post(agent, "/decisions", {
        **BODY, "tiers": [{"group": "supervisors", "quorum": 1}, {"group": "finance"}], "due_in": "2h",
    }).json()  # fmt: skip
    assert [tier["approvers"] for tier in opened["tiers"]] == ["supervisors", "finance"]
    asked = post(acting(robot, "calm"), "/decisions", {**BODY, "tiers": [{"group": "finance"}]}).json()
    assert asked["state"] == "open" and [tier["approvers"] for tier in asked["tiers"]] == ["finance"]


@pytest.mark.parametrize(("ruled", "own", "found"), [
    ([("a", 2)], [("a", 1)], [("a", 2)]), ([("a", 1)], [("a", 3)], [("a", 3)]),
    ([("a", 1)], [("b", 1)], [("a", 1), ("b", 1)]), ([], [("b", 2)], [("b", 2)]), ([("a", 1)], [], [("a", 1)]),
])  # fmt: skip
def test_tiers_are_merged_to_more_people_never_fewer(ruled: Any, own: Any, found: Any) -> None:
    def plans(pairs: list[tuple[str, int]]) -> list[dict[str, Any]]:
        return [{"group": group, "quorum": quorum} for group, quorum in pairs]

    assert external.together(plans(ruled), plans(own)) == plans(found)
    timed = {"group": "a", "quorum": 1, "expires_seconds": 60, "on_expiry": "reject"}
    [merged] = external.together([timed], [{"group": "a", "quorum": 2, "expires_seconds": 9, "on_expiry": "hold"}])
    assert merged == {**timed, "quorum": 2}


def test_a_question_without_a_tool_goes_to_whom_the_caller_names_or_operators(
    agent: Any, sam: User, olivia: User
) -> None:
    asked = post(agent, "/decisions", {**QUESTION, "due_in": "1h", "expires_in": "2h", "on_expiry": "hold"}).json()
    [tier] = asked["tiers"]
    assert (asked["state"], tier["approvers"], tier["on_expiry"]) == ("open", "supervisors", "hold")
    assert tier["due_at"] and tier["expires_at"] and asked["choices"] == QUESTION["choices"]
    nobody = post(agent, "/decisions", {"sentence": "Is it raining?"}).json()
    assert [tier["approvers"] for tier in nobody["tiers"]] == ["operators"]
    votes.cast(asked["id"], sam, "approve", asked["digest"], choice="south", channel="api")
    assert agent.get(f"/api/v1/decisions/{asked['id']}").json()["resolution"]["choice"] == "south"


def test_who_asked_never_counts_not_even_a_superuser(sam: User, person: Person) -> None:
    boss = person("boss", "supervisors", is_superuser=True)
    asked = post(client_of(boss), "/decisions", QUESTION).json()
    vote = {"verdict": "approve", "digest": asked["digest"], "choice": "north"}
    problem_of(post(client_of(boss), f"/decisions/{asked['id']}/votes", vote), 403, "not_eligible")
    assert post(client_of(sam), f"/decisions/{asked['id']}/votes", vote).json()["state"] == "approved"


def test_the_same_key_opens_once_and_another_body_is_refused(agent: Any, sam: User, person: Person) -> None:
    body = {**QUESTION, "key": "depot-7"}
    first, again = post(agent, "/decisions", body), post(agent, "/decisions", body)
    by_header = post(agent, "/decisions", QUESTION, HTTP_IDEMPOTENCY_KEY="depot-7")
    assert (first.status_code, again.status_code, by_header.status_code) == (201, 200, 200)
    assert first.json()["id"] == again.json()["id"] == by_header.json()["id"]
    other = problem_of(post(agent, "/decisions", {**body, "sentence": "Which van?"}), 409, "key_reused")
    assert other["decision"] == first.json()["id"]
    problem_of(post(agent, "/decisions", body, HTTP_IDEMPOTENCY_KEY="other"), 422, "invalid_input")
    stranger = post(client_of(person("rita")), "/decisions", body)  # a key is the caller's own
    assert stranger.status_code == 201 and stranger.json()["id"] != first.json()["id"]
    votes.cast(first.json()["id"], sam, "approve", first.json()["digest"], choice="north", channel="api")
    assert post(agent, "/decisions", body).json()["state"] == "approved"


def test_what_can_not_be_taken_is_refused_by_field(agent: Any, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = []
    wrong = {
        "sentence": "Pay", "due_in": "soon", "expires_in": "0s", "tiers": [{"group": "nobody"}],
        "callback_url": "http://169.254.169.254/latest/", "choices": [{"value": "a", "label": "A"}] * 2,
    }  # fmt: skip
    problem = problem_of(post(agent, "/decisions", wrong), 422, "invalid_input")
    assert fields_of(problem) == {
        "due_in", "expires_in", "tiers.0.group", "callback_url", "choices",
    }  # fmt: skip
    shapes = {"action": {"tool": 5}, "on_expiry": "approve", "colour": "red", "evidence": ["text"]}
    assert fields_of(problem_of(post(agent, "/decisions", shapes), 422, "invalid_input")) >= {
        "sentence", "action.tool", "on_expiry", "colour",
    }  # fmt: skip
    assert not Decision.objects.exists() and not External.objects.exists()


@pytest.mark.parametrize(
    ("tiers", "field"),
    [
        ([{"group": "nobody"}], "tiers.0.group"), ([{"group": "finance"}, {"group": "finance"}], "tiers.1.group"),
        ([{"group": "finance", "quorum": 3}], "tiers.0.quorum"), ([{"group": "empty"}], "tiers.0.quorum"),
        ([{"group": "robots"}], "tiers.0.quorum"), ([{"group": "finance", "quorum": 2}, {"group": "legal"}],
        "tiers.1.quorum"), ([{"group": "finance"}] * 6, "tiers"), ([], "tiers"),
    ],
)  # fmt: skip
def test_tiers_that_never_come_to_their_quorum_are_refused(
    agent: Any, robot: User, person: Person, tiers: list[dict[str, Any]], field: str
) -> None:
    """Two people are in finance, one of them also in legal; the robots are the asker alone, and nobody operates."""
    for name, groups in {"fay": ["finance", "legal"], "finn": ["finance"], "gone": ["finance", "legal"]}.items():
        person(name, *groups, is_active=name != "gone")
    Group.objects.create(name="empty")
    robot.groups.add(Group.objects.create(name="robots"), Group.objects.get(name="finance"))
    sent = {**QUESTION, "tiers": tiers}
    assert fields_of(problem_of(post(agent, "/decisions", sent), 422, "invalid_input")) == {field}
    both = [{"group": "finance"}, {"group": "legal"}]
    assert post(agent, "/decisions", {**QUESTION, "tiers": both}).status_code == 201


def test_only_so_many_of_one_caller_wait_at_once(
    agent: Any, robot: User, sam: User, olivia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "MOST_OPEN", 2)
    for _ in range(2):
        assert post(agent, "/decisions", QUESTION).status_code == 201
    assert problem_of(post(agent, "/decisions", QUESTION), 429, "too_many_open")["most"] == 2
    assert post(client_of(sam), "/decisions", {"sentence": "May I?"}).status_code == 201


def test_the_opener_takes_it_back_and_nobody_else(agent: Any, sam: User, person: Person) -> None:
    asked = post(agent, "/decisions", QUESTION).json()
    path = f"/decisions/{asked['id']}/withdraw"
    problem_of(post(client_of(person("rita")), path, {}), 404, "unknown_decision")
    problem_of(post(client_of(sam), path, {}), 403, "permission_denied")
    gone = post(agent, path, {"reason": "The customer rang."})
    assert gone.json()["state"] == "withdrawn" and gone.json()["resolution"]["comment"] == "The customer rang."
    assert post(agent, path, {}).status_code == 200  # the same again
    answered = post(agent, "/decisions", QUESTION).json()
    votes.cast(answered["id"], sam, "approve", answered["digest"], choice="north", channel="api")
    closed = problem_of(post(agent, f"/decisions/{answered['id']}/withdraw", {}), 409, "decision_closed")
    assert closed["state"] == "approved"


def test_tokens_need_the_scope_and_see_what_they_opened_alone(
    robot: User, sam: User, agent: Any, person: Person
) -> None:
    reader = client_of(token=tokens.issue(robot, scopes=("decisions:read", "decisions:vote"))[1])
    assert problem_of(post(reader, "/decisions", QUESTION), 403, "scope_missing")["scope"] == "decisions:open"
    asked = post(agent, "/decisions", QUESTION).json()
    vote = {"verdict": "approve", "digest": asked["digest"]}
    problem_of(post(agent, f"/decisions/{asked['id']}/votes", vote), 403, "scope_missing")
    other = client_of(token=tokens.issue(person("rita"), scopes=("decisions:read",))[1])
    problem_of(other.get(f"/api/v1/decisions/{asked['id']}"), 404, "unknown_decision")
    problem_of(post(client_of(), "/decisions", QUESTION), 401, "not_authenticated")


def test_a_callback_comes_with_a_secret_of_the_token(robot: User, sam: User) -> None:
    body = {**QUESTION, "callback_url": "https://8.8.8.8/answers"}
    secrets = set()
    for _ in range(2):
        client = client_of(token=tokens.issue(robot, scopes=("decisions:open",))[1])
        found = {post(client, "/decisions", body).json()["callback_secret"] for _ in range(2)}
        assert len(found) == 1
        secrets |= found
    assert len(secrets) == 2
    assert "callback_secret" not in client_of(sam).get("/api/v1/decisions").json()["results"][0]


@pytest.mark.django_db(transaction=True)
def test_two_requests_with_one_key_at_the_same_moment_open_one(robot: User, sam: User) -> None:
    barrier, found, faults = threading.Barrier(6), set(), list[BaseException]()
    wanted = asks.Ask(sentence="Which depot?", action={}, tiers=({"group": "supervisors", "quorum": 1},))

    def opener() -> None:
        try:
            barrier.wait()
            found.add(external.ask(wanted, caller=robot, key="one")[0].pk)
        except (Exception, InvalidInput) as error:  # told by the test
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=opener) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(found) == 1 == Decision.objects.count() == External.objects.count()
