"""Trying a policy and replaying it on history, by REST."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.models import Decision, Policy, Replay, VersionState
from missions.authoring import ToolCall, tool
from missions.engine import codec
from missions.models import Entry, Mission
from missions.web import tokens
from tests import replays
from tests.policies import row
from tests.web.rest import V1, client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
TRY, SIMULATE = "/policies/refunds/try", "/policies/refunds/simulate"


@tool(name="simulated.refund", effect="write", retry_safety="keyed", data_class="payments")
async def refund(call: ToolCall, amount: str, note: str = "") -> None:
    """Refund"""
    raise AssertionError("trying calls nothing")


def tried(user: User, args: Any = None, **body: Any) -> Any:
    wanted = {"tool": "simulated.refund", "args": {"amount": "750.00"} if args is None else args}
    return post(client_of(user), TRY, {"intent": {**wanted, **body.pop("intent", {})}, **body})


def rule(name: str, effect: str, when: str | None = None, **more: Any) -> dict[str, Any]:
    return row(name, effect, when, **{"scope": {"tool": "simulated.*"}, **more})


def test_trying_answers_the_ruling_with_each_rules_state_and_records_nothing(audrey: User) -> None:
    replays.in_force(rule("all", "allow"))
    replays.draft(
        rule("all", "allow"), rule("large", "escalate", "double(args.amount) > 500.0"),
        rule("huge", "deny", 'data.class == "payments" && double(args.amount) > 9000.0'),
        rule("broken", "deny", "args.missing == true", scope={"tool": "other"}),
        rule("odd", "allow", "args.missing == true"),
    )  # fmt: skip
    told = tried(audrey, version=2).json()
    assert (told["ruling"]["outcome"], told["ruling"]["rules"]) == ("escalate", ["large"])
    assert told["candidate"] == "refunds v2"
    states = {one["name"]: (one["state"], one["fired"], one["failing"]) for one in told["ruling"]["trace"]}
    assert states == {
        "all": ("true", True, ""), "large": ("true", True, ""),
        "huge": ("false", False, "double(args.amount) > 9000.0"), "odd": ("error", False, ""),
    }  # fmt: skip
    assert told["out_of_scope"] == [{"name": "broken", "effect": "deny"}]
    assert (told["in_force"]["outcome"], told["tool_known"], told["evaluated"]) == ("allow", True, ["refunds v2"])
    assert not (Entry.objects.exists() or Decision.objects.exists() or Mission.objects.exists())


def test_without_a_version_what_is_in_force_is_tried(audrey: User) -> None:
    replays.in_force(rule("all", "deny"))
    told = tried(audrey).json()
    assert (told["ruling"]["outcome"], told["candidate"], told["in_force"]) == ("deny", "", None)


def test_arguments_are_checked_against_the_schema_of_a_known_tool(audrey: User) -> None:
    replays.in_force(rule("all", "allow"))
    told = problem_of(tried(audrey, {"amount": 5, "unheard": "of"}), 422, "invalid_input")
    assert fields_of(told) == {"args.amount", "args.unheard"}
    unknown = tried(audrey, {"anything": 1}, intent={"tool": "nobody.knows"}).json()
    assert (unknown["tool_known"], unknown["intent"]["effect_class"]) == (False, "write")


def test_a_broken_version_is_refused_with_line_and_column(audrey: User) -> None:
    rules = [{"name": "bad", "effect": "deny", "when": "true &&\n  args.amount >"}]
    policy = Policy.objects.create(name="refunds")
    policy.versions.create(number=1, state=VersionState.DRAFT, rules=rules, digest=codec.digest_of(rules))
    [error] = problem_of(tried(audrey, version=1), 422, "invalid_policy")["errors"]
    assert (error["rule"], error["field"], error["line"]) == ("bad", "when", 2)
    assert error["column"] > 1 and error["message"]


def test_a_past_action_is_tried_as_of_its_time(audrey: User, clock: Any) -> None:
    replays.in_force(replays.over("0.0"))
    run = replays.mission()
    entry = replays.ruled(run, "allow", "750.00")
    clock.advance(days=3)
    moment = entry.recorded_at.isoformat()
    replays.draft(row("then", "deny", f'now == timestamp("{moment}")'))
    body = {"past": {"mission": str(run.uid), "seq": entry.seq}, "version": 2}
    told = post(client_of(audrey), TRY, body).json()
    assert (told["ruling"]["outcome"], told["intent"]["args"]["amount"]) == ("deny", "750.00")
    missing = post(client_of(audrey), TRY, {**body, "past": {"mission": str(run.uid), "seq": 1}})
    assert fields_of(problem_of(missing, 422, "invalid_input")) == {"seq"}


@pytest.mark.parametrize(("body", "fields"), [
    ({}, {"intent"}),
    ({"intent": {"args": {}}}, {"intent.tool"}),
    ({"intent": {"tool": 5, "args": []}}, {"intent.tool", "intent.args"}),
    ({"intent": {"tool": "t", "args": {}, "surprise": 1}}, {"intent.surprise"}),
    ({"intent": {"tool": "t", "mission": "x"}}, {"intent.mission"}),
    ({"intent": {"tool": "t"}, "version": 0}, {"version"}),
    ({"intent": {"tool": "t"}, "version": "1"}, {"version"}),
    ({"intent": {"tool": "t"}, "past": {"mission": str(uuid.UUID(int=1)), "seq": 1}}, {"intent"}),
])  # fmt: skip
def test_bad_bodies_are_refused_by_field(audrey: User, body: Any, fields: set[str]) -> None:
    replays.in_force(rule("all", "allow"))
    assert fields_of(problem_of(post(client_of(audrey), TRY, body), 422, "invalid_input")) == fields


def test_huge_and_hostile_arguments_are_judged_and_denied_where_no_rule_may_read_them(audrey: User) -> None:
    replays.in_force(rule("all", "allow"))
    huge = tried(audrey, {"amount": "1", "note": "x" * 20_000}).json()
    assert (huge["ruling"]["outcome"], "bytes" in huge["ruling"]["reason"]) == ("deny", True)
    hostile = tried(audrey, {"amount": "<script>\u202e", "note": "'; drop table"}).json()
    assert hostile["intent"]["args"]["amount"] == "<script>\u202e"
    assert problem_of(tried(audrey, {"amount": "a\x00b"}), 400, "nul_character")


def test_outsiders_find_no_policy_and_unknown_ones_look_the_same(outsider: User, audrey: User) -> None:
    replays.in_force(rule("all", "allow"))
    problem_of(tried(outsider), 404, "unknown_policy")
    problem_of(tried(audrey, version=99), 404, "unknown_policy")
    problem_of(post(client_of(audrey), "/policies/none/try", {"intent": {"tool": "t"}}), 404, "unknown_policy")
    problem_of(tried(audrey, intent={"mission": str(uuid.uuid4())}), 404, "unknown_mission")
    problem_of(tried(outsider, intent={"mission": str(uuid.uuid4())}), 404, "unknown_policy")
    assert post(client_of(), TRY, {}).status_code in (401, 403)


# -- Replays -----------------------------------------------------------------------------------------------------------


def test_policy_admins_start_a_replay_once_a_key(paula: User) -> None:
    version = replays.draft(rule("all", "allow"))
    body = {"version": version.number, "window": {"last": 500}}
    first = post(client_of(paula), SIMULATE, body, HTTP_IDEMPOTENCY_KEY="k")
    again = post(client_of(paula), SIMULATE, body, HTTP_IDEMPOTENCY_KEY="k")
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    other = post(client_of(paula), SIMULATE, {"version": version.number}, HTTP_IDEMPOTENCY_KEY="k")
    problem_of(other, 409, "key_reused")
    told = client_of(paula).get(first.json()["result"]).json()
    assert (told["state"], told["window"], told["summary"], told["mission"]) == (
        "waiting", {"last": 500}, None, first.json()["mission"],
    )  # fmt: skip
    assert Mission.objects.get(uid=told["mission"]).type == "policy.replay"
    assert Replay.objects.count() == 1


@pytest.mark.parametrize(("window", "field"), [
    ({"from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "window"),
    ({"from": "2026-02-01T00:00:00Z", "last": 5}, "window"), ({"last": 0}, "window.last"),
    ({"last": 10**9}, "window.last"), ({"since": "2026-02-01T00:00:00Z"}, "window.since"),
    ({"from": "2026-02-01T00:00:00"}, "window.from"), ({"until": "soon"}, "window.until"),
])  # fmt: skip
def test_windows_that_make_no_sense_start_nothing(paula: User, window: Any, field: str) -> None:
    replays.draft(rule("all", "allow"))
    told = problem_of(post(client_of(paula), SIMULATE, {"version": 1, "window": window}), 422, "invalid_input")
    assert fields_of(told) == {field}
    assert not Mission.objects.exists()


def test_only_policy_admins_start_one(audrey: User, olivia: User, outsider: User) -> None:
    replays.draft(rule("all", "allow"))
    for user in (audrey, olivia):
        problem_of(post(client_of(user), SIMULATE, {"version": 1}), 403, "permission_denied")
    problem_of(post(client_of(outsider), SIMULATE, {"version": 1}), 404, "unknown_policy")
    token = tokens.issue(audrey, scopes=("policies:read",))[1]
    problem_of(post(client_of(token=token), TRY, {"intent": {"tool": "t"}}), 403, "scope_missing")
    assert not Mission.objects.exists()


def test_findings_and_differences_are_told_page_by_page(audrey: User, outsider: User) -> None:
    replays.in_force(replays.over("0.0"))
    run = replays.mission()
    for number in range(3):
        replays.asked(run, state="rejected", path=f"a#{number}")
    replay = replays.replayed(replays.draft(replays.allowed()))
    client, address = client_of(audrey), f"{V1}/policies/replays/{replay.pk}"
    told = client.get(address).json()
    assert (told["state"], told["loosens"], told["summary"]["people"]["allows_rejected"]) == ("finished", True, 3)
    assert told["findings"][0] == "It would have allowed 3 that people rejected."
    first = client.get(f"{address}/differences?limit=2").json()
    rest = client.get(f"{address}/differences?limit=2&cursor={first['next']}").json()
    rows = [*first["results"], *rest["results"]]
    assert [(one["was"], one["would"], one["decided"]) for one in rows] == [("escalate", "allow", "rejected")] * 3
    assert rest["next"] is None
    assert client.get(f"{address}/differences?change=allow_deny").json()["results"] == []
    problem_of(client.get(f"{address}/differences?change=nonsense"), 400, "bad_parameter")
    problem_of(client.get(f"{address}/differences?cursor=nonsense"), 400, "bad_cursor")
    problem_of(client.get(f"{V1}/policies/replays/{uuid.uuid4()}"), 404, "unknown_replay")
    problem_of(client_of(outsider).get(address), 404, "unknown_policy")
