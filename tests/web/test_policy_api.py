"""Policies over REST: who sees and changes them, what a mistake is answered with, and the way to a decision."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.models import Decision, Policy, PolicyVersion
from approvals.policies import files
from missions.models import RestrictedScope, Restriction
from tests.conftest import Person
from tests.decisions import intent_of, opened, waiting_mission
from tests.policies import row
from tests.policy_lives import ASKS, LOOSE, STRICT, approve, in_force, now_in_force
from tests.web import visits
from tests.web.rest import V1, client_of, post, problem_of

pytestmark = pytest.mark.django_db
YAML = """
name: refunds
rules:
  - name: off
    scope: {tool: "payments.*"}
    effect: deny
    reason: "2026-01-01"
"""


@pytest.fixture
def peter(person: Person, sam: User) -> User:
    return person("peter", "policy-admins")


def get(user: User, path: str) -> Any:
    return client_of(user).get(f"{V1}{path}")


def test_a_draft_becomes_a_decision_and_the_decision_puts_it_in_force(paula: User, peter: User) -> None:
    in_force(*LOOSE)
    client = client_of(paula)
    saved = post(client, "/policies", {"name": "refunds", "rules": STRICT, "base": 1})
    assert saved.status_code == 201
    assert [saved.json()[name] for name in ("number", "state", "base")] == [2, "draft", 1]
    assert post(client, "/policies/refunds/versions", {"rules": STRICT}).status_code == 200
    asked = post(client, "/policies/refunds/versions/2/submit", {"note": "As agreed."}, HTTP_IDEMPOTENCY_KEY="k")
    assert (asked.status_code, asked.json()["kind"], asked.json()["state"]) == (200, "policy_change", "open")
    assert "changes" in asked.json()["facts"]  # who votes over REST reads what they vote on
    again = post(client, "/policies/refunds/versions/2/submit", {"note": "As agreed."}, HTTP_IDEMPOTENCY_KEY="k")
    assert again.json()["id"] == asked.json()["id"]
    vote = {"verdict": "approve", "digest": asked.json()["digest"]}
    assert post(client_of(peter), f"/decisions/{asked.json()['id']}/votes", vote).json()["state"] == "approved"
    shown = get(paula, "/policies/refunds/versions/2").json()
    assert (shown["state"], shown["decision"]) == ("active", asked.json()["id"])
    assert get(paula, "/policies").json()["results"][0]["in_force"] == 2
    assert get(paula, "/policies/refunds/events").json()["results"][0]["what"] == "activated"


@pytest.mark.parametrize(("who", "status"), [("audrey", 403), ("sam", 403), ("olivia", 403), ("outsider", 404)])
def test_who_sees_policies_does_not_change_them(request: Any, who: str, status: int, paula: User) -> None:
    someone = request.getfixturevalue(who)
    in_force()
    for path, body in (
        ("/policies", {"name": "x", "rules": STRICT}), ("/policies/refunds/versions/1/submit", {}),
        ("/policies/refunds/versions/1/withdraw", {}), ("/policies/refunds/versions/1/restore", {}),
        ("/policies/refunds/mode", {"mode": "off"}),
    ):  # fmt: skip
        code = "permission_denied" if status == 403 else "unknown_policy"
        problem_of(post(client_of(someone), path, body), status, code)
    for path in ("/policies", "/policies/refunds/versions", "/policies/refunds/versions/1", "/policies/refunds/events",
                 "/policies/refunds/versions/1.yaml", "/policies/refunds/versions/1/diff",
                 "/policies/refunds/versions/1/touched"):  # fmt: skip
        assert get(someone, path).status_code == (200 if status == 403 else 404), path
    assert PolicyVersion.objects.count() == 1


def test_every_problem_comes_with_rule_field_line_and_column(paula: User) -> None:
    rules = [row("a", "deny", "args.x > 1 &&\n  tool.nmae == 'x'"), row("b", "permit")]
    answer = post(client_of(paula), "/policies", {"name": "refunds", "rules": rules})
    problem = problem_of(answer, 422, "invalid_policy")
    [first, second] = problem["errors"]
    assert (first["rule"], first["field"], first["line"], first["column"]) == ("a", "when", 2, 7)
    assert (second["rule"], second["field"], second["line"]) == ("b", "effect", None)
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "refunds"}, "rules"), ({"name": "refunds", "rules": STRICT, "yaml": YAML}, "rules"),
        ({"rules": STRICT}, "name"), ({"name": "other", "yaml": YAML}, "yaml"), ({"yaml": "[]"}, "yaml"),
        ({"name": "refunds", "rules": STRICT, "mode": "off"}, "mode"), ({"name": 5, "rules": STRICT}, "name"),
        ({"name": "refunds", "rules": "x"}, "rules"),
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit(paula: User, body: dict[str, Any], field: str) -> None:
    problem = problem_of(post(client_of(paula), "/policies", body), 422, "invalid_input")
    assert field in {error["field"] for error in problem["errors"]}


@pytest.mark.parametrize("rules", [["x"], [5], [[]], [None], [{}], [{"name": {}}], []])
def test_rules_that_are_none_are_told_so(paula: User, rules: Any) -> None:
    problem_of(post(client_of(paula), "/policies", {"name": "refunds", "rules": rules}), 422, "invalid_policy")


def test_a_file_goes_in_and_comes_out_as_it_was(paula: User) -> None:
    client = client_of(paula)
    assert post(client, "/policies", {"yaml": YAML}).status_code == 201
    answer = get(paula, "/policies/refunds/versions/1.yaml")
    assert answer["Content-Type"].startswith("application/yaml")
    assert "attachment" in answer["Content-Disposition"]
    [policy] = files.parsed(answer.content, "file")
    assert policy["rules"] == files.parsed(YAML.encode(), "file")[0]["rules"]
    assert policy["rules"][0]["name"] == "off"
    assert post(client, "/policies", {"yaml": answer.content.decode()}).status_code == 200


def test_a_draft_that_was_replaced_meanwhile_is_a_conflict(paula: User, peter: User) -> None:
    client = client_of(paula)
    post(client, "/policies", {"name": "refunds", "rules": STRICT})
    post(client_of(peter), "/policies/refunds/versions", {"rules": LOOSE, "base": 1})
    late = post(client, "/policies/refunds/versions", {"rules": [row("x", "deny")], "base": 1})
    assert problem_of(late, 409, "draft_outdated")["newer"] == 2


def test_the_difference_of_two_versions(paula: User) -> None:
    in_force(*STRICT)
    in_force(*LOOSE)
    there = get(paula, "/policies/refunds/versions/1/diff").json()
    assert ([one["name"] for one in there["removed"]], there["loosens"]) == (["all"], True)
    back = get(paula, "/policies/refunds/versions/2/diff?to=1").json()
    assert ([one["name"] for one in back["added"]], back["loosens"], back["why"]) == (["all"], False, [])
    problem_of(get(paula, "/policies/refunds/versions/1/diff?to=x"), 400, "bad_parameter")
    problem_of(get(paula, "/policies/refunds/versions/1/diff?to=7"), 404, "unknown_policy")


def test_withdrawing_and_restoring(paula: User, peter: User) -> None:
    in_force(*STRICT)
    in_force(*LOOSE)
    client = client_of(paula)
    restored = post(client, "/policies/refunds/versions/1/restore", {})
    assert (restored.status_code, restored.json()["number"], restored.json()["base"]) == (201, 3, 1)
    post(client, "/policies/refunds/versions/3/submit", {})
    taken = post(client, "/policies/refunds/versions/3/withdraw", {"reason": "Too early."})
    assert (taken.status_code, taken.json()["state"]) == (200, "draft")
    assert problem_of(post(client, "/policies/refunds/versions/3/withdraw", {}), 409, "wrong_state")["state"] == "draft"


def test_a_mode_is_asked_for(paula: User, peter: User) -> None:
    in_force(*LOOSE)
    client = client_of(paula)
    body = {"mode": "shadow", "scope": {"tool": "mail.*"}, "reason": "A trial."}
    asked = post(client, "/policies/refunds/mode", body).json()
    assert "Set the mode of refunds to shadow for tool mail.*" in asked["sentence"]
    assert post(client, "/policies/refunds/mode", body).json()["id"] == asked["id"]
    problem_of(post(client, "/policies/refunds/mode", {"mode": "enforce"}), 409, "wrong_state")
    problem_of(post(client, "/policies/refunds/mode", {"mode": "dark"}), 422, "invalid_input")
    post(client, "/policies", {"name": "fresh", "rules": STRICT})
    assert post(client, "/policies/fresh/mode", {"mode": "shadow"}).status_code == 204


def test_what_an_activation_touches(paula: User, sam: User) -> None:
    in_force(*LOOSE)
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission))
    post(client_of(paula), "/policies", {"name": "refunds", "rules": STRICT})
    [one] = get(paula, "/policies/refunds/versions/2/touched").json()["results"]
    assert (one["id"], one["mission"]) == (str(decision.pk), str(mission.uid))
    assert get(paula, "/policies/refunds/versions/1/touched").json()["results"] == []


def test_what_it_touches_names_no_mission_that_the_reader_may_not_see(paula: User, peter: User, lee: User) -> None:
    in_force(*LOOSE)
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission), sentence="A secret refund")
    Restriction.objects.create(scope=RestrictedScope.MISSION_TYPE, name=mission.type, group="legal")
    post(client_of(paula), "/policies", {"name": "refunds", "rules": STRICT})
    assert get(paula, "/policies/refunds/versions/2/touched").json()["results"] == []
    [one] = get(lee, "/policies/refunds/versions/2/touched").json()["results"]
    assert one["id"] == str(decision.pk)
    page = visits.get(paula, "/policies/refunds/versions/2/")
    assert "missions that you may not see" in page and "A secret refund" not in page
    asked = post(client_of(paula), "/policies/refunds/versions/2/submit", {}).json()
    assert "1 of missions that not everybody" in asked["facts"]["touches"] and "secret" not in asked["facts"]["touches"]


def test_a_vote_on_an_overtaken_change_is_told_what_is_asked_instead(paula: User, peter: User) -> None:
    in_force(*LOOSE)
    client = client_of(paula)
    post(client, "/policies", {"name": "refunds", "rules": STRICT})
    asked = post(client, "/policies/refunds/versions/2/submit", {}).json()
    in_force(ASKS, row("other", "deny", "args.x == 1"))
    vote = {"verdict": "approve", "digest": asked["digest"]}
    problem = problem_of(post(client_of(peter), f"/decisions/{asked['id']}/votes", vote), 409, "decision_closed")
    approve(Decision.objects.get(pk=problem["superseded_by"]), peter)
    assert now_in_force() == 2


def test_the_console_shows_a_change_to_those_who_decide_it(paula: User, peter: User) -> None:
    in_force(*STRICT)
    post(client_of(paula), "/policies", {"name": "refunds", "rules": LOOSE})
    asked = post(client_of(paula), "/policies/refunds/versions/2/submit", {"note": "As agreed."}).json()
    page = visits.get(peter, f"/queue/{asked['id']}/")
    assert "Put refunds v2 in force in the place of v1: it loosens the policy" in page
    assert "all denied what no single rule denies any more." in page
    assert "As agreed." in page
    assert "Put refunds v2" in visits.get(peter, "/queue/")
