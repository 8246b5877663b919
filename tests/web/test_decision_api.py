"""Decisions over REST: shapes, lists, votes and their refusals, permissions, the schema."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from approvals import queue, votes
from approvals.models import Decision, Vote
from missions.models import Mission
from missions.web import tokens
from tests.decisions import FINANCE, SUPERVISORS, answers, in_doubt, opened, waiting_mission

pytestmark = pytest.mark.django_db
ROOT = "/api/v1"


@pytest.fixture
def api(client):
    """Signs people in: `api(sam)` is their client."""

    def sign_in(user):
        caller = Client()
        caller.force_login(user)
        return caller

    return sign_in


def get(caller, path, **params):
    return caller.get(f"{ROOT}/{path}", params)


def post(caller, path, **body):
    return caller.post(f"{ROOT}/{path}", json.dumps(body), content_type="application/json")


def vote(caller, decision, verdict="approve", **body):
    return post(caller, f"decisions/{decision.pk}/votes", verdict=verdict, **{"digest": decision.digest, **body})


def test_a_decision_has_the_documented_shape(api, sam, person):
    person("simon", "supervisors")
    mission = waiting_mission()
    decision = opened(mission, {**SUPERVISORS, "quorum": 2, "expires_seconds": 7200}, FINANCE)
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    shown = get(api(sam), f"decisions/{decision.pk}").json()
    assert shown["id"] == str(decision.pk)
    assert shown["mission"] == str(mission.uid)
    assert shown["action"]["tool"] == "payments.refund"
    assert shown["action"]["args"]["amount"] == "900.00"
    assert shown["action"]["effect_class"] == "write"
    assert isinstance(shown["action"]["args_schema"], dict)
    assert shown["policy"] == {"name": "refunds", "version": 1, "rules": ["small-refund"]}
    assert shown["blast"] == {"count": 1, "money": {"amount": "900.00", "currency": "GBP"}, "recipients": []}
    first, second = shown["tiers"]
    assert (first["order"], first["approvers"], first["quorum"], first["votes"], first["state"]) == (
        1, "supervisors", {"need": 2, "of": 2}, 1, "open",
    )
    assert (first["on_expiry"], first["cast"][0]["voter"], second["state"]) == ("hold", "sam", "waiting")
    assert first["expires_at"] > first["due_at"]
    assert {"kind", "state", "sentence", "timeline", "digest", "reversibility", "risk", "evidence"} <= set(shown)
    assert "resolution" not in shown
    assert "choices" not in shown


def test_in_doubt_choices_are_told(api, olivia):
    shown = get(api(olivia), f"decisions/{in_doubt(waiting_mission()).pk}").json()
    assert [choice["value"] for choice in shown["choices"]] == ["happened", "retry", "roll_back"]


def test_a_vote_settles_and_answers_the_decision(api, sam):
    decision = opened(waiting_mission())
    response = vote(api(sam), decision, comment="Fine.")
    assert response.status_code == 200
    told = response.json()
    assert (told["state"], told["resolution"]["verdict"], told["resolution"]["by"]) == ("approved", "approved", ["sam"])
    assert told["resolution"]["comment"] == "Fine."
    assert Vote.objects.get().channel == "api"
    again = vote(api(sam), decision, comment="Fine.")
    assert (again.status_code, again.json()["state"], Vote.objects.count()) == (200, "approved", 1)
    assert len(answers(decision)) == 1


def test_a_late_vote_gets_409_with_the_winner(api, sam, person):
    decision = opened(waiting_mission())
    vote(api(person("simon", "supervisors")), decision, "reject", comment="No.")
    response = vote(api(sam), decision)
    told = response.json()
    assert (response.status_code, told["code"], told["state"]) == (409, "decision_closed", "rejected")
    assert (told["resolution"]["verdict"], told["resolution"]["by"]) == ("rejected", ["simon"])
    assert response["Content-Type"] == "application/problem+json"


def test_an_old_digest_gets_409_with_the_current_one(api, sam):
    decision = opened(waiting_mission())
    response = vote(api(sam), decision, digest="0" * 64)
    assert (response.status_code, response.json()["code"]) == (409, "stale_digest")
    assert response.json()["digest"] == decision.digest


def test_owners_and_strangers_to_the_tier_get_403(api, fiona, person):
    owner = person("ann", "supervisors", is_superuser=True)
    decision = opened(waiting_mission(started_by=owner), SUPERVISORS, FINANCE)
    for user in (owner, fiona):
        response = vote(api(user), decision)
        assert (response.status_code, response.json()["code"]) == (403, "not_eligible")
    assert not Vote.objects.exists()


def test_outsiders_get_404_on_every_verb(api, outsider):
    decision = opened(waiting_mission())
    caller = api(outsider)
    assert get(caller, "decisions").json()["results"] == []
    for response in (
        get(caller, f"decisions/{decision.pk}"), vote(caller, decision), post(caller, f"decisions/{decision.pk}/claim"),
        post(caller, f"decisions/{decision.pk}/release"), get(caller, f"decisions/{uuid.uuid4()}"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "unknown_decision")


def test_the_anonymous_get_401(client):
    assert client.get(f"{ROOT}/decisions").status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"verdict": "reject"}, "comment"), ({"verdict": "maybe"}, "verdict"), ({"verdict": "approve", "x": 1}, "x"),
        ({"verdict": "reject", "comment": "x" * 4001}, "comment"), ({"verdict": "approve", "digest": 7}, "digest"),
    ],
)  # fmt: skip
def test_incomplete_votes_get_422_by_field(api, sam, body, field):
    decision = opened(waiting_mission())
    response = post(api(sam), f"decisions/{decision.pk}/votes", **{"digest": decision.digest, **body})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert not Vote.objects.exists()


def test_a_doubt_needs_its_reference_over_rest_too(api, olivia):
    decision = in_doubt(waiting_mission())
    response = vote(api(olivia), decision, choice="happened")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_vote")
    told = vote(api(olivia), decision, choice="happened", reference="PAY-7").json()
    assert (told["resolution"]["choice"], told["resolution"]["reference"]) == ("happened", "PAY-7")


def test_lists_are_filtered_and_paged(api, olivia, sam):
    made = [opened(waiting_mission()) for _ in range(3)]
    doubt = in_doubt(waiting_mission())
    done = opened(waiting_mission())
    vote(api(sam), done)
    caller = api(olivia)

    def ids(**params):
        return [row["id"] for row in get(caller, "decisions", **params).json()["results"]]

    assert len(ids()) == 5
    assert ids(kind="in_doubt") == ids(view="in_doubt") == [str(doubt.pk)]
    assert ids(state="approved") == ids(view="done") == [str(done.pk)]
    assert set(ids(tier="supervisors")) == {str(row.pk) for row in made}
    assert ids(view="my-tiers") == [str(doubt.pk)]
    assert ids(q=made[0].mission.brief.title) == [str(made[0].pk)]
    found, cursor = [], ""
    while cursor is not None:
        page = get(caller, "decisions", limit=2, state="open", cursor=cursor).json()
        found, cursor = found + [row["id"] for row in page["results"]], page["next"]
    assert sorted(found) == sorted(ids(state="open"))
    assert len(found) == 4


@pytest.mark.parametrize("params", [{"view": "x"}, {"kind": "x"}, {"state": "x"}, {"cursor": "x"}, {"page": "2"}])
def test_unknown_parameters_are_refused(api, sam, params):
    assert get(api(sam), "decisions", **params).status_code == 400


def test_a_list_costs_the_same_number_of_statements_however_long(api, sam, django_assert_max_num_queries):
    caller = api(sam)
    for _ in range(10):
        opened(waiting_mission(), SUPERVISORS, FINANCE)
    with django_assert_max_num_queries(14):
        assert len(get(caller, "decisions").json()["results"]) == 10


def test_a_missions_decisions_are_listed(api, sam, outsider):
    mission = waiting_mission()
    decision = opened(mission)
    opened(waiting_mission())
    found = get(api(sam), f"missions/{mission.uid}/decisions").json()["results"]
    assert [row["id"] for row in found] == [str(decision.pk)]
    assert get(api(outsider), f"missions/{mission.uid}/decisions").status_code == 404


def test_claiming_and_releasing(api, sam, person, clock):
    decision = opened(waiting_mission())
    simon = person("simon", "supervisors")
    queue.claim(decision.pk, simon)
    path = f"decisions/{decision.pk}"
    assert get(api(sam), path).json()["claimed_by"] == "simon"
    claimed = post(api(sam), f"{path}/claim").json()
    assert (claimed["claimed_by"], claimed["taken_from"]) == ("sam", "simon")
    assert post(api(simon), f"{path}/release").json()["claimed_by"] == "sam"
    assert post(api(sam), f"{path}/release").json()["claimed_by"] is None
    post(api(sam), f"{path}/claim")
    clock.advance(minutes=15)
    assert get(api(sam), path).json()["claimed_by"] is None


def test_reading_over_rest_changes_nothing(api, sam):
    decision = opened(waiting_mission())
    before = list(Decision.objects.values()), list(Mission.objects.values())
    caller = api(sam)
    for path in ("decisions", f"decisions/{decision.pk}", f"missions/{decision.mission.uid}/decisions"):
        assert get(caller, path).status_code == 200
    for name in ("votes", "claim", "release"):
        assert get(caller, f"decisions/{decision.pk}/{name}").status_code == 405
    assert (list(Decision.objects.values()), list(Mission.objects.values())) == before


def test_tokens_vote_only_within_their_scope(client, sam):
    decision = opened(waiting_mission())
    _, reading = tokens.issue(sam, scopes=("decisions:read",))
    _, voting = tokens.issue(sam, scopes=("decisions:vote",))

    def cast(secret):
        return client.post(
            f"{ROOT}/decisions/{decision.pk}/votes", json.dumps({"verdict": "approve", "digest": decision.digest}),
            content_type="application/json", headers={"Authorization": f"Token {secret}"},
        )

    assert cast(reading).status_code == 403
    assert not Vote.objects.exists()
    assert cast(voting).status_code == 200


def test_sessions_need_a_csrf_token(sam):
    decision = opened(waiting_mission())
    caller = Client(enforce_csrf_checks=True)
    caller.force_login(sam)
    assert vote(caller, decision).status_code == 403
    assert not Vote.objects.exists()


def test_the_schema_tells_of_decisions(capsys):
    schema = SchemaGenerator().get_schema(request=None, public=True)
    paths = {path for path in schema["paths"] if "decisions" in path}
    assert paths == {
        f"{ROOT}/decisions", f"{ROOT}/decisions/{{decision_id}}", f"{ROOT}/decisions/{{decision_id}}/votes",
        f"{ROOT}/decisions/{{decision_id}}/claim", f"{ROOT}/decisions/{{decision_id}}/release",
        f"{ROOT}/decisions/{{decision_id}}/delegate", f"{ROOT}/decisions/{{decision_id}}/withdraw",
        f"{ROOT}/missions/{{uid}}/decisions", f"{ROOT}/decisions/bulk-votes",
        f"{ROOT}/decisions/{{decision_id}}/callback/redeliver",
        *(f"{ROOT}/decisions/{{decision_id}}/{verb}" for verb in ("comments", "undo", "withdraw", "looks", "similar")),
    }
    assert "approvals" not in capsys.readouterr().err  # the generator warns there of what it could not tell
