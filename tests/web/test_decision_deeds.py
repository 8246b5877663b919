"""What people do with a decision beside voting, on its pages and over REST: edit, undo, ask and answer, write, look."""

from __future__ import annotations

import time

import pytest
from django.template.defaultfilters import floatformat
from django.urls import reverse

from approvals import votes
from approvals.models import Comment, Decision, Look, Vote
from approvals.policies import document, versions
from missions.authoring import ToolCall, tool
from missions.governance import EffectClass
from tests.decisions import FINANCE, SUPERVISORS, answers, in_doubt, intent_of, opened, waiting_mission
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import signed_in

pytestmark = pytest.mark.django_db


@tool(name="desk.pay", effect="write", retry_safety="manual", sentence="Pay {amount} to {to}")
async def pay(call: ToolCall, amount: str, to: str, urgent: bool = False) -> None:
    """Pay out"""


SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}


def payment(**fields):
    mission = waiting_mission()
    intent = intent_of(mission, tool="desk.pay", args={"amount": "900.00", "to": "Ann"}, **fields)
    return opened(mission, sentence="Pay 900.00 to Ann", intent=intent)


@pytest.fixture(autouse=True)
def _policy():
    tiers = [{"group": "supervisors", "quorum": 1}]
    rows = [{"name": "all", "effect": "escalate", "tiers": tiers, "reason": "A test."}]
    versions.load(document.check({"name": "desk", "mode": "enforce", "rules": rows}), activate=True, via="test")


@pytest.fixture
def simon(person):
    return person("simon", "supervisors")


def url(name, decision):
    return reverse(f"decision-{name}" if name else "decision", args=[decision.pk])


def text(response):
    return response.content.decode()


def test_the_edit_page_asks_for_other_arguments_and_says_that_somebody_else_decides(sam, simon):
    decision, client = payment(), signed_in(sam)
    page = text(client.get(url("edit", decision)))
    assert "somebody else has to approve it" in page and 'value="900.00"' in page
    assert "too few people" not in page
    wrong = client.post(url("edit", decision), {"digest": decision.digest, "args-amount": "", "args-to": "Ann"})
    assert wrong.status_code == 422 and 'aria-invalid="true"' in text(wrong)
    sent = {"digest": decision.digest, "args-amount": "120.00", "args-to": "Ann", "comment": "Less."}
    assert client.post(url("edit", decision), sent)["Location"] == url("", decision)
    page = text(client.get(url("", decision)))
    for found in ("<del>", "900.00", "<ins>", "120.00", "sam changed this", "You edited what is asked"):
        assert found in page, found
    assert "vote-form" not in page
    page = text(signed_in(simon).get(url("", decision)))
    assert "vote-form" in page and "Pay 120.00 to Ann" in page
    late = client.post(url("edit", decision), sent)
    assert late.status_code == 403 and Vote.objects.count() == 1


def test_an_editor_is_warned_where_nobody_else_could_decide(sam):
    assert "Then too few people are left" in text(signed_in(sam).get(url("edit", payment())))


def test_a_reader_of_the_old_digest_sees_what_changed_and_keeps_the_draft(sam, simon):
    decision = payment()
    old = decision.digest
    votes.cast(decision.pk, simon, "approve", old, edited_args={"amount": "1.00", "to": "Ann"}, channel="api")
    response = signed_in(sam).post(url("vote", decision), {"verdict": "approve", "digest": old, "comment": "Good."})
    page = text(response)
    assert response.status_code == 409 and "has changed since you opened it" in page
    assert page.index("<del>") < page.index("I have read it") and "Good.</textarea>" in page


def test_edits_over_rest_name_their_fields(sam, simon):
    decision, api = payment(), client_of(sam)
    path = f"/decisions/{decision.pk}/votes"
    body = {"verdict": "approve", "digest": decision.digest, "edited_args": {"amount": 5, "to": "Ann"}}
    assert fields_of(problem_of(post(api, path, body), 422, "invalid_vote")) == {"edited_args.amount"}
    body["edited_args"] = {"amount": "5.00", "to": "Ann"}
    told = post(api, path, body).json()
    assert (told["edits"], told["action"]["args"]["amount"], told["state"]) == (1, "5.00", "open")
    assert told["digest"] != decision.digest
    assert post(api, path, body).json()["edits"] == 1  # the same again changes nothing
    problem_of(post(api, path, {"verdict": "approve", "digest": told["digest"]}), 403, "not_eligible")
    done = post(client_of(simon), path, {"verdict": "approve", "digest": told["digest"]}).json()
    assert done["resolution"]["edited_args"] == {"amount": "5.00", "to": "Ann"}


def held(sam):
    decision = payment()
    Decision.objects.filter(pk=decision.pk).update(hold_seconds=60)
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    return decision


def test_a_held_approval_says_when_it_runs_and_is_undone_by_who_approved(sam, simon, clock):
    decision = held(sam)
    page = text(signed_in(sam).get(url("", decision)))
    assert "waiting to run" in page and "Undo my approval" in page and "It takes effect" in page
    assert "Undo my approval" not in text(signed_in(simon).get(url("", decision)))
    assert signed_in(simon).post(url("undo", decision)).status_code == 403
    assert signed_in(sam).post(url("undo", decision))["Location"] == url("", decision)
    assert "vote-form" in text(signed_in(sam).get(url("", decision)))
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    clock.advance(seconds=61)
    problem_of(post(client_of(sam), f"/decisions/{decision.pk}/undo", {}), 409, "not_held")
    assert signed_in(sam).post(url("undo", decision)).status_code == 409


def test_undo_over_rest_opens_it_again(sam):
    decision = held(sam)
    assert client_of(sam).get(f"/api/v1/decisions/{decision.pk}").json()["hold_until"]
    told = post(client_of(sam), f"/decisions/{decision.pk}/undo", {"reason": "Misread."}).json()
    assert (told["state"], told["tiers"][0]["votes"], told["hold_until"]) == ("open", 0, None)


def test_a_thread_is_appended_to_by_all_who_see_it_and_marks_what_agents_wrote(sam, fiona, outsider):
    decision = opened(waiting_mission())
    path = f"/decisions/{decision.pk}/comments"
    for _ in range(2):  # sent twice, it is one comment
        sent = {"text": "Is <b>that</b> right?", "once": "a"}
        assert signed_in(sam).post(url("comment", decision), sent).status_code == 302
    made = post(client_of(sam), path, {"text": "I think so.", "agent": "clerk", "key": "k"})
    assert made.status_code == 201 and post(client_of(sam), path, {"text": "x", "key": "k"}).json() == made.json()
    page = text(signed_in(sam).get(url("", decision)))
    assert "&lt;b&gt;that&lt;/b&gt;" in page and "The agent clerk wrote this" in page
    rows = client_of(sam).get(f"/api/v1{path}", {"limit": 1}).json()
    assert [row["text"] for row in rows["results"]] == ["Is <b>that</b> right?"]
    rest = client_of(sam).get(f"/api/v1{path}", {"limit": 1, "cursor": rows["next"]}).json()
    assert [row["agent"] for row in rest["results"]] == ["clerk"] and rest["next"] is None
    for person in (fiona, outsider):
        problem_of(post(client_of(person), path, {"text": "Hello"}), 404, "unknown_decision")
        assert signed_in(person).post(url("comment", decision), {"text": "Hello"}).status_code == 404
    refused = signed_in(sam).post(url("comment", decision), {"text": "x" * 4001})
    assert refused.status_code == 422 and "x" * 4001 in text(refused)
    assert Comment.objects.count() == 2


def test_questions_have_a_form_of_their_own_kind(sam):
    free = opened(waiting_mission(), kind="question", answers={"form": "text"}, sentence="What colour?")
    client = signed_in(sam)
    assert "Your answer</label>" in text(client.get(url("", free)))
    empty = client.post(url("vote", free), {"verdict": "approve", "digest": free.digest, "answer": " "})
    assert empty.status_code == 422 and "Write an answer." in text(empty)
    client.post(url("vote", free), {"verdict": "approve", "digest": free.digest, "answer": "Blue", "queue_stays": "on"})
    assert "Blue" in text(client.get(url("", free)))
    typed = opened(waiting_mission(), kind="question", answers={"form": "schema", "schema": SCHEMA})
    page = client.post(url("vote", typed), {"verdict": "approve", "digest": typed.digest, "answer-size": "big"})
    assert page.status_code == 422 and "id_answer-size_error" in text(page)
    client.post(url("vote", typed), {"verdict": "approve", "digest": typed.digest, "answer-size": "4"})
    assert Decision.objects.get(pk=typed.pk).resolution["value"] == {"size": 4}


def test_after_a_vote_the_page_stays_for_who_wants_that(sam):
    first, second = payment(), payment()
    client = signed_in(sam)
    sent = {"verdict": "approve", "digest": first.digest}
    assert client.post(url("vote", first), {**sent, "queue_stays": "on"})["Location"] == url("", first)
    assert 'name="queue_stays" checked' in text(client.get(url("", second)))


def test_who_may_vote_in_two_tiers_does_so_on_the_page_and_a_double_click_changes_nothing(sam):
    second = {**FINANCE, "name": "once more", "group": "supervisors", "distinct_from": []}
    decision, client = opened(waiting_mission(), SUPERVISORS, second), signed_in(sam)
    sent = {"verdict": "approve", "digest": decision.digest}
    assert 'name="tier"' not in text(client.get(url("", decision)))
    for _ in range(2):
        assert client.post(url("vote", decision), sent).status_code == 303
    assert Vote.objects.count() == 1
    assert 'name="tier" value="once more"' in text(client.get(url("", decision)))
    for _ in range(2):
        assert client.post(url("vote", decision), {**sent, "tier": "once more"}).status_code == 303
    decision.refresh_from_db()
    assert (decision.state, Vote.objects.count()) == ("approved", 2)


def test_staying_survives_the_second_screen_of_what_is_irreversible(sam):
    decision = payment(effect_class=EffectClass.IRREVERSIBLE)
    sent = {"verdict": "approve", "digest": decision.digest, "queue_stays": "on"}
    assert 'name="queue_stays" value="on"' in text(signed_in(sam).post(url("vote", decision), sent))


def test_who_asked_withdraws_with_a_reason(sam, fiona):
    decision = opened(waiting_mission(started_by=fiona))
    path = f"/decisions/{decision.pk}/withdraw"
    problem_of(post(client_of(sam), path, {"reason": "No."}), 403, "not_eligible")
    assert fields_of(problem_of(post(client_of(fiona), path, {}), 422, "invalid_vote")) == {"reason"}
    assert "Withdraw what you asked for" in text(signed_in(fiona).get(url("", decision)))
    signed_in(fiona).post(url("withdraw", decision), {"reason": "Done elsewhere."})
    assert Decision.objects.get(pk=decision.pk).state == "withdrawn" and len(answers(decision)) == 1
    problem_of(post(client_of(fiona), path, {"reason": "Again."}), 409, "decision_closed")


def test_demanded_evidence_is_looked_at_before_anybody_approves(sam, audrey, clock):
    decision = opened(waiting_mission(), evidence=({"source": "orders.get", "paid": "1500.00"}, {"source": "mail"}))
    Decision.objects.filter(pk=decision.pk).update(demands=[{"source": "orders.get"}])
    client, sent = signed_in(sam), {"verdict": "approve", "digest": decision.digest}
    refused = client.post(url("vote", decision), sent)
    assert refused.status_code == 422 and "wants this evidence looked at first: orders.get" in text(refused)
    client.get(url("", decision))
    assert not Look.objects.exists()  # reading a page records nothing
    assert client.post(url("look", decision), {"what": "evidence", "item": "9"}).status_code == 400
    begun = time.monotonic()
    assert post(client_of(sam), f"/decisions/{decision.pk}/looks", {"what": "decision"}).json() == {"first": True}
    clock.advance(seconds=30)
    script = client.post(url("look", decision), {"what": "evidence", "item": "1"}, headers={"X-Looked": "1"})
    assert script.status_code == 204 and client.post(url("vote", decision), sent).status_code == 303
    vote = Vote.objects.get()
    assert 30 <= vote.looked_seconds <= 30 + time.monotonic() - begun and vote.evidence_opened == 1
    told = f"{floatformat(vote.looked_seconds, 0)} s after first opening it; 1 of 2 pieces"
    assert told in text(signed_in(audrey).get(url("", decision)))
    assert "after first opening it" not in text(client.get(url("", decision)))


def test_similar_decisions_hide_their_outcomes_until_the_evidence_was_opened(sam, simon):
    done = payment()
    votes.cast(done.pk, simon, "reject", done.digest, comment="No.", channel="api")
    other = opened(waiting_mission(), intent=intent_of(waiting_mission(), tool="desk.pay", args={"amount": "1.00"}))
    votes.cast(other.pk, simon, "approve", other.digest, channel="api")
    mission = waiting_mission()
    intent = intent_of(mission, tool="desk.pay", args={"amount": "900.00", "to": "Ann"})
    decision = opened(mission, intent=intent, evidence=({"source": "mail"},))
    client, path = signed_in(sam), f"/api/v1/decisions/{decision.pk}/similar"
    assert "is shown once you have opened" in text(client.get(url("", decision)))
    [row] = client_of(sam).get(path).json()["results"]
    assert (row["id"], row["state"]) == (str(done.pk), None) and "same amount" in row["alike"]
    client.post(url("look", decision), {"what": "evidence", "item": "all"})
    assert "0 approved, 1 not" in text(client.get(url("", decision)))
    assert client_of(sam).get(path).json()["results"][0]["state"] == "rejected"


def many(count=3, **fields):
    return [payment(**fields) for _ in range(count)]


def test_many_are_answered_together_after_a_typed_count(sam, simon):
    pile, client = many(), signed_in(sam)
    items = [f"{one.pk}:{one.digest}" for one in pile]
    assert 'form="bulk-form"' in text(client.get(reverse("queue")))
    page = text(client.post(reverse("queue-bulk"), {"item": items}))
    assert "2700.00 GBP" in page or "2700.00" in page
    wrong = client.post(reverse("queue-bulk-vote"), {"item": items, "verdict": "approve", "count": "2"})
    assert wrong.status_code == 422 and not Vote.objects.exists()
    votes.cast(pile[1].pk, simon, "reject", pile[1].digest, comment="No.", channel="api")
    done = client.post(reverse("queue-bulk-vote"), {"item": items, "verdict": "approve", "count": "3"})
    assert "2 answered, 1 not" in text(done) and Vote.objects.filter(voter=sam).count() == 2
    assert "Choose at least one decision." in text(client.post(reverse("queue-bulk"), {"item": items}))
    assert client.get(reverse("queue-bulk"))["Location"] == reverse("queue")


def test_bulk_over_rest_tells_what_came_of_each(sam, fiona, outsider):
    pile, api = many(), client_of(sam)
    body = {
        "items": [{"id": str(one.pk), "digest": one.digest} for one in pile], "count": 3, "verdict": "approve",
    }  # fmt: skip
    body["items"][1]["digest"] = "0" * 64
    results = post(api, "/decisions/bulk-votes", body).json()["results"]
    assert [one["code"] for one in results] == ["", "stale_digest", ""]
    assert [one["state"] for one in results] == ["approved", "", "approved"]
    fresh = many(1)
    mission = waiting_mission()
    unlike = opened(mission, intent=intent_of(mission, tool="other.tool"))
    grave, doubt = many(1, effect_class=EffectClass.IRREVERSIBLE), in_doubt(waiting_mission())
    for other in (unlike, grave[0], doubt, opened(waiting_mission(), FINANCE)):
        both = [*fresh, other]
        body |= {"items": [{"id": str(one.pk), "digest": one.digest} for one in both], "count": 2}
        assert fields_of(problem_of(post(api, "/decisions/bulk-votes", body), 422, "invalid_vote")) == {str(other.pk)}
    assert not Vote.objects.filter(decision__in=[*fresh, unlike, *grave, doubt]).exists()
    body |= {"items": [{"id": str(fresh[0].pk), "digest": fresh[0].digest}], "count": 1, "verdict": "reject"}
    assert fields_of(problem_of(post(api, "/decisions/bulk-votes", body), 422, "invalid_vote")) == {"comment"}
    problem_of(post(client_of(outsider), "/decisions/bulk-votes", {**body, "comment": "No."}), 422, "invalid_vote")


def test_a_decision_that_took_the_place_of_another_shows_what_differs(sam):
    mission = waiting_mission()
    first = opened(mission, path="pay#1")
    changed = intent_of(mission, args={"order_id": "ORD-1001", "amount": "950.00", "currency": "GBP"})
    second = opened(mission, path="pay#1", intent=changed)
    page = text(signed_in(sam).get(url("", second)))
    assert "It takes the place of" in page and "<del>" in page and "950.00" in page
    assert "<ins>" in text(signed_in(sam).get(url("", first)))
