"""Controls over REST: who may steer what, receipts and keys, what is refused, previews, forks, and many at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.policies import document, versions
from missions.authoring import Context, Denied, ToolCall, Verdict, mission, tool
from missions.engine import codec, history
from missions.engine.claims import CONTROL
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.models import EffectState, Kind, Mission, Signal, State
from tests import live_worker, parcels
from tests.web.rest import V1, client_of, fields_of, post, problem_of

VERBS = ("pause", "stop", "resume", "cancel", "retry")
STATE_FOR = {"resume": State.PAUSED, "retry": State.FAILED}
sent: list[str] = []


@tool(name="desk.send", effect="write", retry_safety="manual", compensate="desk.take_back", sentence="Send {what}")
async def send(call: ToolCall, what: str) -> dict[str, Any]:
    """Send"""
    sent.append(what)
    return {"number": len(sent)}


@tool(name="desk.take_back", effect="write", retry_safety="manual", sentence="Take back {what}")
async def take_back(call: ToolCall, what: str, number: int) -> dict[str, Any]:
    """Take back"""
    sent.append(f"-{what}")
    return {}


@mission("desk.letter", version=1)
async def letter(m: Context, request: dict[str, Any]) -> Verdict:
    """Send two letters, the second one when told to."""
    await m.tool("desk.send", what="first")
    await m.wait_for_signal("go")
    try:
        await m.tool("desk.send", what="second")
    except Denied as denied:
        return Verdict("denied", summary=str(denied))
    return Verdict("sent")


def in_state_for(verb: str, by: User | None = None) -> Mission:
    """A mission to which the verb applies."""
    run = parcels.mission(by)
    Mission.objects.filter(pk=run.pk).update(state=STATE_FOR.get(verb, State.WAITING))
    return run


def controls_of(run: Mission) -> list[dict[str, Any]]:
    return [codec.load(one.payload) for one in Signal.objects.filter(mission_id=run.pk, name=CONTROL).order_by("seq")]


# -- Who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS)
def test_operators_ask_for_every_control_and_get_a_receipt(olivia: User, verb: str) -> None:
    run = in_state_for(verb)
    response = post(client_of(olivia), f"/missions/{run.uid}/{verb}", {"reason": "Stock-taking"})
    assert response.status_code == 202
    assert response.json() == {"mission": str(run.uid), "verb": verb, "seq": 1}
    (asked,) = controls_of(run)
    assert (asked["verb"], asked["by"], asked["reason"]) == (verb, "olivia", "Stock-taking")
    run.refresh_from_db()
    assert (run.control_seq, run.control_done) == (1, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS)
def test_supervisors_and_the_owner_direct_and_only_operators_retry(sam: User, outsider: User, verb: str) -> None:
    run = in_state_for(verb, by=outsider)
    for user in (sam, outsider):
        response = post(client_of(user), f"/missions/{run.uid}/{verb}", {})
        if verb == "retry":
            problem_of(response, 403, "permission_denied")
        else:
            assert response.status_code == 202
    assert len(controls_of(run)) == (0 if verb == "retry" else 2)


@pytest.mark.django_db
@pytest.mark.parametrize("verb", [*VERBS, "rollback", "fork", "replay"])
def test_readers_are_refused_and_outsiders_learn_nothing(audrey: User, outsider: User, verb: str) -> None:
    run = in_state_for(verb)
    problem_of(post(client_of(audrey), f"/missions/{run.uid}/{verb}", {}), 403, "permission_denied")
    problem_of(post(client_of(outsider), f"/missions/{run.uid}/{verb}", {}), 404, "unknown_mission")
    assert post(client_of(), f"/missions/{run.uid}/{verb}", {}).status_code in (401, 403)
    assert controls_of(run) == []


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["rollback", "fork", "replay"])
def test_the_owner_neither_rolls_back_nor_forks(outsider: User, verb: str) -> None:
    run = in_state_for(verb, by=outsider)
    problem_of(post(client_of(outsider), f"/missions/{run.uid}/{verb}", {}), 403, "permission_denied")


# -- Keys and refusals -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_same_key_counts_once_for_a_verb(olivia: User) -> None:
    run, client = in_state_for("pause"), client_of(olivia)
    first = post(client, f"/missions/{run.uid}/pause", {"key": "k"}).json()
    assert post(client, f"/missions/{run.uid}/pause", {}, HTTP_IDEMPOTENCY_KEY="k").json() == first
    assert post(client, f"/missions/{run.uid}/stop", {"key": "k"}).json()["seq"] == 2
    assert [one["verb"] for one in controls_of(run)] == ["pause", "stop"]


def test_a_key_that_came_with_another_request_is_refused_and_loses_nothing(olivia: User) -> None:
    client, run = client_of(olivia), parcels.mission(olivia)
    for path, first, other in (
        ("pause", {"reason": "Once"}, {"reason": "Twice"}),
        ("goal", {"goal": "Left", "reason": "x"}, {"goal": "Right", "reason": "x"}),
        ("signals", {"name": "van", "payload": {"at": 1}}, {"name": "van", "payload": {"at": 2}}),
    ):
        assert post(client, f"/missions/{run.uid}/{path}", {**first, "key": "k"}).status_code == 202
        assert post(client, f"/missions/{run.uid}/{path}", {**first, "key": "k"}).status_code in (200, 202)
        refused = post(client, f"/missions/{run.uid}/{path}", {**other, "key": "k"})
        assert (refused.status_code, refused.json()["code"]) == (409, "key_reused"), path



@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_means_nothing_in_the_state_is_a_conflict(olivia: User, verb: str) -> None:
    run = parcels.complete(parcels.mission())
    body = problem_of(post(client_of(olivia), f"/missions/{run.uid}/{verb}", {}), 409, "control_refused")
    assert (body["state"], body["verb"]) == ("completed", verb)
    assert controls_of(run) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("verb", "body", "fields"),
    [("pause", {"reason": "x" * 2001}, {"reason"}), ("pause", {"why": "?"}, {"why"}),
     ("pause", {"reason": 3}, {"reason"}), ("pause", {"compensate": True}, {"compensate"}),
     ("cancel", {"compensate": "yes"}, {"compensate"}),
     ("rollback", {}, {"to", "reason", "preview_digest"}),
     ("rollback", {"to": 0, "reason": "r", "preview_digest": "d"}, {"to"}),
     ("rollback", {"to": "2", "reason": "", "preview_digest": "d"}, {"to", "reason"}),
     ("fork", {"at": -1, "effects": "some"}, {"at", "effects"}), ("fork", {"at": 1, "title": "x" * 201}, {"title"})],
)  # fmt: skip
def test_a_body_that_does_not_fit_is_refused_by_field(
    olivia: User, verb: str, body: dict[str, Any], fields: set[str]
) -> None:
    run = parcels.mission()
    response = post(client_of(olivia), f"/missions/{run.uid}/{verb}", body)
    assert fields_of(problem_of(response, 422, "invalid_input")) == fields
    assert controls_of(run) == [] and Mission.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("to", ["", "0", "-1", "x", "2.5", "99999999999", "²"])
def test_a_preview_of_no_entry_is_a_bad_parameter(olivia: User, to: str) -> None:
    run = parcels.mission()
    problem_of(client_of(olivia).get(f"{V1}/missions/{run.uid}/rollback", {"to": to}), 400, "bad_parameter")


# -- Going back --------------------------------------------------------------------------------------------------------


@pytest.fixture
def effective() -> Mission:
    """A parked mission with one effect of each fate after its first step."""
    run = parcels.mission()
    parcels.append(run, Kind.STEP, {"name": "pack", "title": "Pack", "result": 1}, path="pack#1")
    for state in (EffectState.DONE, EffectState.UNDONE, EffectState.NOT_DONE, EffectState.IN_DOUBT):
        parcels.effect(run, state, compensate="desk.take_back")
    parcels.effect(run, EffectState.DONE, compensate="", effect_class="irreversible")
    return parcels.park(run, "signal:go")


@pytest.mark.django_db
def test_the_preview_tells_kept_undone_and_each_fate(audrey: User, effective: Mission) -> None:
    seen = client_of(audrey).get(f"{V1}/missions/{effective.uid}/rollback", {"to": 2}).json()
    assert (seen["to"], seen["asked"], seen["kept"]) == (2, 2, 2)
    assert seen["undone"] == effective.head_seq - 2
    assert seen["counts"] == {"compensable": 1, "undone": 1, "irreversible": 1, "in_doubt": 1, "not_done": 1}
    assert [one["fate"] for one in seen["effects"]] == ["irreversible", "in_doubt", "not_done", "undone", "compensable"]
    assert {one["undo"] for one in seen["effects"] if one["fate"] == "irreversible"} == {""}


@pytest.mark.django_db
def test_a_rollback_names_the_preview_that_was_read(olivia: User, effective: Mission) -> None:
    client, path = client_of(olivia), f"/missions/{effective.uid}/rollback"
    old = client.get(f"{V1}{path}", {"to": 2}).json()["digest"]
    parcels.effect(effective)
    asked = {"to": 2, "reason": "Wrong address", "guidance": "Number 7", "preview_digest": old}
    now = problem_of(post(client, path, asked), 409, "preview_outdated")["digest"]
    assert controls_of(effective) == [] and now != old
    assert post(client, path, {**asked, "preview_digest": now}).status_code == 202
    (put,) = controls_of(effective)
    assert (put["verb"], put["to"], put["guidance"], put["preview_digest"]) == ("rollback", 2, "Number 7", now)


@pytest.mark.django_db
def test_an_entry_that_is_not_there_can_not_be_gone_back_to(olivia: User) -> None:
    run = parcels.mission()
    problem_of(client_of(olivia).get(f"{V1}/missions/{run.uid}/rollback", {"to": 99}), 409, "control_refused")
    problem_of(post(client_of(olivia), f"/missions/{run.uid}/fork", {"at": 99}), 409, "control_refused")


@pytest.fixture
def allowed(transactional_db: None) -> None:
    """Policy lets the desk send."""
    sent.clear()
    rules = [{"name": "free", "scope": {"tool": "desk.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "desk", "mode": "enforce", "rules": rules}), activate=True, via="test")


def begun() -> Mission:
    return live_worker.parked(start("desk.letter", {})[0], "signal:go")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("allowed")
def test_rolled_back_over_rest_it_goes_on_upon_a_timeline_that_tells_why(olivia: User) -> None:
    client = client_of(olivia)
    with live_worker.worker():
        run = begun()
        path = f"/missions/{run.uid}/rollback"
        seen = client.get(f"{V1}{path}", {"to": 1}).json()
        asked = {"to": 1, "reason": "Typo", "guidance": "Spell it right", "preview_digest": seen["digest"]}
        assert post(client, path, asked).status_code == 202
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:go")
    assert sent == ["first", "-first", "first"]
    first, second = client.get(f"{V1}/missions/{run.uid}/timelines").json()["results"]
    assert (first["current"], first["opened"], second["current"]) == (False, None, True)
    opened = second["opened"]
    assert (opened["parent_timeline"], opened["to_seq"], opened["verb"]) == (1, 1, "rollback")
    assert (opened["reason"], opened["guidance"], opened["opened_by"]) == ("Typo", "Spell it right", "olivia")
    again = client.get(f"{V1}{path}", {"to": second["to_seq"]}).json()
    kept = [row for row in history.entries(run.pk) if row.seq == 1 or row.timeline == 2]
    assert again["kept"] + again["undone"] == len(kept)  # what was left behind counts no more


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("effects", "verdict", "done"), [("off", "denied", ["first"]), ("on", "sent", ["first", "second"])]
)
def test_a_fork_shares_the_past_and_changes_the_world_only_where_told_to(
    olivia: User, effects: str, verdict: str, done: list[str]
) -> None:
    with live_worker.worker():
        run = begun()
        wanted = {"at": run.head_seq, "title": "What if", "effects": effects}
        response = post(client_of(olivia), f"/missions/{run.uid}/fork", wanted)
        assert response.status_code == 201 and response.json()["title"] == "What if"
        made = live_worker.parked(Mission.objects.get(uid=response.json()["id"]), "signal:go")
        deliver(made.pk, "go", {})
        live_worker.ended(made)
    assert (made.outcome.verdict, sent) == (verdict, done)
    run.refresh_from_db()
    assert run.state == "waiting"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("allowed", "apart")
def test_a_replay_follows_the_record_and_writes_nothing(olivia: User) -> None:
    with live_worker.worker():
        run = begun()
    before = run.head_seq
    seen = post(client_of(olivia), f"/missions/{run.uid}/replay", {}).json()
    assert seen["ok"] is True and seen["entries"] > 1 and sent == ["first"]
    run.refresh_from_db()
    assert run.head_seq == before
    Mission.objects.filter(pk=run.pk).update(type="desk.gone")
    assert post(client_of(olivia), f"/missions/{run.uid}/replay", {}).json()["ok"] is None


# -- Many at once ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_many_are_steered_at_once_and_each_tells_what_came_of_it(olivia: User) -> None:
    waiting, failed, other = in_state_for("pause"), parcels.fail(parcels.mission()), parcels.mission(title="Other")
    body = {"filter": {"q": "parcel"}, "verb": "pause", "reason": "Outage", "key": "outage-1"}
    told = post(client_of(olivia), "/missions/bulk", body).json()
    assert (told["taken"], told["refused"]) == (1, 1)
    by_id = {row["mission"]: row for row in told["results"]}
    assert by_id[str(waiting.uid)] == {"mission": str(waiting.uid), "taken": True, "why": ""}
    assert "failed" in by_id[str(failed.uid)]["why"] and controls_of(other) == []
    assert post(client_of(olivia), "/missions/bulk", body).json() == told
    assert len(controls_of(waiting)) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [{"filter": {}, "verb": "pause"}, {"filter": {"state": "asleep"}, "verb": "pause"}, {"verb": "pause"},
     {"filter": {"state": "failed"}, "verb": "rollback"}, {"filter": {"owner": "me"}, "verb": "pause"}],
)  # fmt: skip
def test_all_missions_and_unknown_filters_are_not_meant(olivia: User, body: dict[str, Any]) -> None:
    run = in_state_for("pause")
    problem_of(post(client_of(olivia), "/missions/bulk", body), 422, "invalid_input")
    assert controls_of(run) == []


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["sam", "audrey", "outsider"])
def test_only_operators_steer_many(request: pytest.FixtureRequest, who: str) -> None:
    user, run = request.getfixturevalue(who), in_state_for("pause")
    body = {"filter": {"state": "waiting"}, "verb": "pause"}
    problem_of(post(client_of(user), "/missions/bulk", body), 403, "permission_denied")
    assert controls_of(run) == []
