"""The pages of policies: who sees what, what the editor keeps, saves and refuses, and the buttons of a version."""

from __future__ import annotations

import datetime as dt
import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from approvals.models import Decision, Mode, Policy, PolicyVersion, VersionState
from approvals.policies import lifecycle
from missions.engine.clock import database_now
from tests.conftest import Person
from tests.policies import row
from tests.policy_lives import LOOSE, STRICT, in_force, submitted
from tests.unit.test_policy_editing import FULL
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "</script><b>x</b> {{ 1 }} \N{RIGHT-TO-LEFT OVERRIDE}abc"


@pytest.fixture(autouse=True)
def groups(sam: User, fiona: User, lee: User, audrey: User) -> None:
    """The groups that the rules of these tests name."""


def drafted(by: User, *rules: dict[str, Any], name: str = "refunds") -> PolicyVersion:
    """A draft of these rules."""
    return lifecycle.save_draft(name, list(rules) or [row("small", "deny", "true")], by=by)


def fields_of(html: str) -> dict[str, str]:
    """What a browser would send of the editor's form, without a button."""
    form = html.split('id="editor"')[1].split("</form>")[0]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input\b[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in attributes and (attributes.get("type") != "checkbox" or re.search(r"\schecked\b", tag)):
            default = "on" if attributes.get("type") == "checkbox" else ""
            found[attributes["name"]] = unescape(attributes.get("value", default))
    for name, text in re.findall(r'<textarea\b[^>]*name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        found[name] = unescape(text).replace("\n", "\r\n")
    for name, options in re.findall(r'<select\b[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.findall(r'value="([^"]*)" selected', options) or re.findall(r'value="([^"]*)"', options)
        found[name] = unescape(chosen[-1] if "selected" in options else chosen[0])
    return found


def pressed(client: Client, path: str, html: str, do: str, **typed: str) -> HttpResponse:
    """The answer to a button of the editor, with fields typed before; `rule__when` is the field `rule.when`."""
    changes = {name.replace("__", "."): value for name, value in typed.items()}
    return client.post(path, {**fields_of(html), **changes, "do": do})


def page(response: HttpResponse) -> str:
    return response.content.decode()


# -- Who may -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/policies/", "/policies/refunds/", "/policies/refunds/versions/1/",
                                  "/policies/refunds/versions/1/export/", "/policies/refunds/difference/?old=1&new=1"])
def test_those_who_see_every_mission_read_and_others_learn_nothing(
    path: str, paula: User, sam: User, outsider: User
) -> None:
    drafted(paula)
    for reader in (paula, sam):
        assert signed_in(reader).get(path).status_code == 200
    answers = [signed_in(outsider).get(one) for one in (path, "/policies/none/")]
    told = {page(answer).split("<main")[1] for answer in answers}
    assert [answer.status_code for answer in answers] == [403, 403]
    assert len(told) == 1 and "You may not see policies" in told.pop()
    assert 'href="/policies/"' in get(sam, "/queue/") and 'href="/policies/"' not in get(outsider, "/queue/")


@pytest.mark.parametrize("verb", ["submit", "withdraw", "restore", "shadow"])
def test_only_policy_admins_write(verb: str, paula: User, sam: User) -> None:
    version = drafted(paula)
    client = signed_in(sam)
    for path in (f"/policies/refunds/versions/1/{verb}/", "/policies/-/new/", "/policies/refunds/edit/",
                 "/policies/refunds/check/", "/policies/refunds/mode/", "/policies/-/import/"):
        assert client.post(path, {"do": "save", "rules": "[]"}).status_code == 403, path
    version.refresh_from_db()
    assert (version.state, PolicyVersion.objects.count()) == (VersionState.DRAFT, 1)
    html = get(sam, "/policies/refunds/versions/1/")
    assert "Submit for review" not in html and "/edit/" not in html and "New policy" not in get(sam, "/policies/")


@pytest.mark.parametrize("path", ["/policies/none/", "/policies/none/edit/", "/policies/refunds/versions/9/",
                                  "/policies/refunds/versions/99999999999999999999/", "/policies/refunds/edit/?from=9",
                                  "/policies/refunds/edit/?from=x", "/policies/refunds/difference/?old=1&new=x",
                                  "/policies/refunds/difference/?old=99999999999999999999&new=1"])
def test_what_is_not_there_is_not_found(path: str, paula: User) -> None:
    drafted(paula)
    assert signed_in(paula).get(path).status_code == 404


# -- Lists and pages ---------------------------------------------------------------------------------------------------
def test_an_empty_list_says_what_to_do(paula: User, sam: User) -> None:
    assert "Write the first, or import" in get(paula, "/policies/")
    assert "Ask a policy admin" in get(sam, "/policies/")


def test_the_list_and_the_policy_tell_what_is_in_force_and_what_is_not(paula: User, sam: User) -> None:
    version = drafted(paula)
    lifecycle.submit(version, by=paula, note="Because of <b>March</b>")
    html, decision = get(sam, "/policies/"), f"/queue/{Decision.objects.get().pk}/"
    assert "In review" in html and "Enforced" in html and decision in get(paula, "/policies/")
    pages = ("/policies/", "/policies/refunds/", f"/policies/refunds/versions/{version.number}/")
    assert [decision in get(sam, page) for page in pages] == [False] * 3  # it is not for him to open
    html = get(paula, "/policies/refunds/")
    assert "Because of &lt;b&gt;March&lt;/b&gt;" in html and "Submitted" in html and "paula" in html


def test_two_versions_are_compared_in_words(paula: User) -> None:
    first = drafted(paula, row("a", "deny", "double(args.amount) > 500.0"), row("gone", "deny"))
    changed = [row("a", "deny", "double(args.amount) > 750.0"), row("new", "allow")]
    lifecycle.save_draft("refunds", changed, by=paula, base=first)
    html = get(paula, "/policies/refunds/difference/?old=1&new=2")
    words = re.sub(r"<[^>]+>", "", html)
    bounds = ("removed double(args.amount) &gt; 500.0", "added double(args.amount) &gt; 750.0")
    for said in ("Added", "Removed", "Changed", *bounds):
        assert said in words, said
    assert "<del>" in html and "<ins>" in html and "<mark>500</mark>" in html


def test_a_version_is_exported_and_comes_back_by_import(paula: User) -> None:
    drafted(paula, FULL_HERE)
    response = signed_in(paula).get("/policies/refunds/versions/1/export/")
    assert 'filename="refunds-v1.yaml"' in response["Content-Disposition"]
    text = page(response).replace("name: refunds", "name: copies", 1)
    file = SimpleUploadedFile("copies.yaml", text.encode())
    assert signed_in(paula).post("/policies/-/import/", {"file": file})["Location"] == "/policies/copies/versions/1/"
    assert PolicyVersion.objects.get(policy__name="copies").rules == [FULL_HERE]


def test_an_import_that_is_wrong_keeps_the_text_and_nothing_else(paula: User) -> None:
    text = f"- {{name: good, rules: [{{name: a, effect: deny}}]}}\n- {{name: bad, rules: [{{name: '{HOSTILE}'}}]}}"
    response = signed_in(paula).post("/policies/-/import/", {"text": text})
    assert response.status_code == 422 and "Nothing was imported" in page(response)
    assert "&lt;/script&gt;" in page(response) and not Policy.objects.exists()
    for other in ({"text": "  "}, {"file": SimpleUploadedFile("x", b"\xff")}, {"text": "\0"}, {"text": "a: *x"}):
        assert signed_in(paula).post("/policies/-/import/", other).status_code == 422, other


FULL_HERE: dict[str, Any] = {**FULL, "tiers": [
    {name: value for name, value in tier.items() if name != "calendar"} | ({"quorum": 1} if "sla" in tier else {})
    for tier in FULL["tiers"]
]}  # fmt: skip


# -- The editor --------------------------------------------------------------------------------------------------------
def test_every_field_of_a_rule_goes_through_the_page_unchanged(paula: User) -> None:
    version, client = drafted(paula, row("first", "deny", "true"), FULL_HERE), signed_in(paula)
    path = "/policies/refunds/edit/"
    html = page(pressed(client, path, get(paula, path), "open:1"))
    assert fields_of(html)["rule.tiers.2.approvers.0.fallback"] == "lee"
    html = page(pressed(client, path, html, "close:1"))
    assert json.loads(fields_of(html)["rules"]) == version.rules
    response = pressed(client, path, page(pressed(client, path, html, "open:1")), "save", rule__reason="Other")
    assert response.status_code == 303
    assert PolicyVersion.objects.get(number=2).rules[1] == {**FULL_HERE, "reason": "Other"}


def test_a_new_policy_is_written_from_nothing(paula: User) -> None:
    client, path = signed_in(paula), "/policies/-/new/"
    html = page(pressed(client, path, get(paula, path), "add", policy="orders", rule__when="true"))
    assert fields_of(html)["policy"] == "orders" and not Policy.objects.exists()
    response = pressed(client, path, html, "save", rule__when="args.total == 1", rule__effect="allow")
    assert response["Location"] == "/policies/orders/versions/1/"
    assert [rule["name"] for rule in PolicyVersion.objects.get().rules] == ["rule-1", "rule-2"]
    again = pressed(client, path, html, "save", policy="orders")
    assert again.status_code == 409 and "already" in page(again) and PolicyVersion.objects.count() == 1
    for name in ("", "-x", "a b", "x" * 101, HOSTILE):
        refused = pressed(client, path, html, "save", policy=name)
        assert refused.status_code == 422 and "A name has letters" in page(refused), name


def test_a_refused_save_keeps_all_that_was_typed_and_says_where_it_is_wrong(paula: User) -> None:
    drafted(paula)
    client, path = signed_in(paula), "/policies/refunds/edit/"
    html = page(pressed(client, path, get(paula, path), "open:0"))
    condition = "args.a == 1 &&\n  agent.nam == ''"
    wrong = {"rule__when": condition, "rule__name": HOSTILE, "rule__scope.effect_class": "wriet"}
    response = pressed(client, path, html, "save", **wrong)
    html = page(response)
    assert response.status_code == 422 and PolicyVersion.objects.count() == 1 and "<b>x</b>" not in html
    sent = fields_of(html)
    assert (sent["rule.when"], sent["rule.name"]) == (wrong["rule__when"].replace("\n", "\r\n"), HOSTILE)
    notes = html.split('id="rule-when-notes"')[1].split("</div>")[0]
    assert "Line 2, column 8" in notes and "nam" in notes
    assert "<mark>" in html.split('id="rule-when-mirror"')[1].split("</div>")[0]
    assert "none of" in html.split('id="rule-scope-effect_class-notes"')[1].split("</div>")[0]


def test_the_check_answers_with_the_slots_of_the_page_and_saves_nothing(paula: User) -> None:
    drafted(paula, row("a", "deny"), row("b", "deny"))
    client, path = signed_in(paula), "/policies/refunds/edit/"
    sent = fields_of(page(pressed(client, path, get(paula, path), "open:1")))
    sent |= {"rule.when": "args.x >", "rule.name": "a", "flagged": "0"}
    answer = client.post("/policies/refunds/check/", sent)
    html = page(answer)
    assert answer.status_code == 200 and html.count('hx-swap-oob="true"') > 20
    assert "column 9" in html.split('id="rule-when-notes"')[1].split("</div>")[0]
    assert "Two rules have this name" in html.split('id="notes-0"')[1].split("<div")[0]
    assert "2 errors" in html or "3 errors" in html
    assert PolicyVersion.objects.count() == 1
    for html_id in re.findall(r'id="([^"]+)"', html):
        assert f'id="{html_id}"' in page(pressed(client, path, get(paula, path), "open:1")), html_id
    assert client.get("/policies/refunds/check/").status_code == 302


def test_the_yaml_is_the_same_draft(paula: User) -> None:
    drafted(paula, FULL_HERE)
    client, path = signed_in(paula), "/policies/refunds/edit/"
    html = page(pressed(client, path, get(paula, path), "view:yaml"))
    text = fields_of(html)["source"]
    assert "name: refunds" in text and "when: |" in text
    response = pressed(client, path, html, "save", source=text.replace("It is a lot.", "It is more."))
    assert response.status_code == 303
    assert PolicyVersion.objects.get(number=2).rules == [{**FULL_HERE, "reason": "It is more.\nAsk."}]
    broken = pressed(client, path, html, "view:table", source="rules:\n  - {name: a, name: b}")
    assert "Line 2, column" in page(broken) and fields_of(page(broken))["source"].startswith("rules:")
    unknown = pressed(client, path, html, "view:table", source="rules:\n  - {name: a, colour: b}")
    assert "unknown field colour" in page(unknown) and 'id="source"' in page(unknown)
    other = pressed(client, path, html, "save", source="name: other\nrules:\n  - {name: a, effect: deny}")
    assert other.status_code == 422 and "calls the policy" in page(other)
    back = pressed(client, path, html, "view:table", source="rules:\n  - {name: only, effect: deny}")
    assert json.loads(fields_of(page(back))["rules"]) == [{"name": "only", "effect": "deny"}]


def test_two_people_who_edit_the_same_version_are_told(paula: User, person: Person) -> None:
    drafted(paula, row("a", "deny", "true"))
    other, path = person("pete", "policy-admins"), "/policies/refunds/edit/"
    hers = page(pressed(signed_in(paula), path, get(paula, path), "open:0"))
    his = page(pressed(signed_in(other), path, get(other, path), "open:0"))
    assert pressed(signed_in(other), path, his, "save", rule__when="args.x == 1").status_code == 303
    response = pressed(signed_in(paula), path, hers, "save", rule__when="args.x == 2")
    html = page(response)
    assert response.status_code == 409 and "pete saved v2 after you began" in html
    assert fields_of(html)["rule.when"] == "args.x == 2" and "<del>" in html and PolicyVersion.objects.count() == 2
    sent = fields_of(html)
    over = signed_in(paula).post(path, {**sent, "over": "2"})
    assert over["Location"] == "/policies/refunds/versions/3/"
    assert PolicyVersion.objects.get(number=3).base.number == 2


def test_forged_hidden_fields_break_nothing(paula: User) -> None:
    drafted(paula)
    client = signed_in(paula)
    for sent in ({"rules": "[1, {}, null]", "open": "0"}, {"rules": "{", "open": "x"}, {"rules": '["\\ud800"]'}, {},
                 {"rules": '[{"tiers": 5}]', "open": "0", "do": "open:0"}, {"removed": "[1]"}, {"base": "9" * 30},
                 {"rules": "[{}]", "do": "duplicate:0"}, {"rules": "[{}]", "do": "save", "base": "²"},
                 {"removed": '{"at": 99, "rule": {}}', "do": "put-back"}, {"removed": '{"at": 0}', "do": "put-back"},
                 {"view": "yaml", "source": "\0", "do": "save"},
                 {"view": "yaml", "source": "- - -\n- x", "do": "check"}):
        for path in ("/policies/refunds/edit/", "/policies/refunds/check/"):
            assert client.post(path, sent).status_code in (200, 400, 409, 422), (path, sent)
    assert PolicyVersion.objects.count() == 1


def test_a_policy_of_five_hundred_rules_is_edited(paula: User) -> None:
    many = [row(f"rule-{at}", "deny", f"double(args.amount) > {at}.5") for at in range(500)]
    PolicyVersion.objects.create(policy=Policy.objects.create(name="huge"), number=1, rules=many, digest="x")
    client, path = signed_in(paula), "/policies/huge/edit/"
    html = page(pressed(client, path, get(paula, path), "open:250"))
    assert html.count('class="rules__row') == 500 and html.count('id="rule-form"') == 1
    response = pressed(client, path, html, "save", rule__reason="Half way.")
    assert response.status_code == 303, re.findall(r'banner__title">[^<]*|field__error">.{0,200}', page(response))
    assert PolicyVersion.objects.get(number=2).rules[250]["reason"] == "Half way."
    more = pressed(client, path, page(pressed(client, path, html, "add")), "save")
    assert more.status_code == 422 and "the limit is 500" in page(more)


# -- The buttons of a version ------------------------------------------------------------------------------------------
def test_a_draft_is_submitted_with_a_note_and_a_time_and_withdrawn(paula: User) -> None:
    drafted(paula)
    client, path = signed_in(paula), "/policies/refunds/versions/1/"
    bad = client.post(f"{path}submit/", {"note": "Why", "activate_at": "tomorrow"})
    assert bad.status_code == 422 and "Why</textarea>" in page(bad) and 'id="submit-at-error"' in page(bad)
    past = client.post(f"{path}submit/", {"note": "Why", "activate_at": "2001-01-01T00:00"})
    assert past.status_code == 409 and "Why</textarea>" in page(past)
    soon = f"{database_now() + dt.timedelta(days=8):%Y-%m-%dT%H:%M}"
    response = client.post(f"{path}submit/", {"note": "Why not", "activate_at": soon})
    decision = Decision.objects.get()
    assert response["Location"] == f"/queue/{decision.pk}/" and decision.requested_by == paula
    html = get(paula, path)
    assert "In review" in html and "Withdraw" in html and f"{soon}:00" in html
    assert client.post(f"{path}withdraw/")["Location"] == path
    assert client.post(f"{path}withdraw/").status_code == 409
    decision.refresh_from_db()
    assert (decision.state, PolicyVersion.objects.get().state) == ("withdrawn", VersionState.DRAFT)


def test_a_draft_runs_in_shadow_at_once_and_ends(paula: User) -> None:
    drafted(paula)
    client, path = signed_in(paula), "/policies/refunds/versions/1/"
    assert client.post(f"{path}shadow/")["Location"] == path
    assert PolicyVersion.objects.get().state == VersionState.SHADOW and not Decision.objects.exists()
    html = page(client.get(path))
    assert "runs in shadow" in html and "End the shadow" in html
    other = lifecycle.save_draft("refunds", [row("b", "deny")], by=paula)
    client.post(f"/policies/refunds/versions/{other.number}/shadow/")
    assert list(PolicyVersion.objects.order_by("number").values_list("state", flat=True)) == ["draft", "shadow"]
    client.post("/policies/refunds/versions/2/withdraw/")
    assert PolicyVersion.objects.get(number=2).state == VersionState.DRAFT
    client.post("/policies/refunds/versions/2/shadow/")
    assert client.post("/policies/refunds/versions/2/submit/", {"note": ""}).status_code == 303
    assert PolicyVersion.objects.get(number=2).state == VersionState.IN_REVIEW
    assert client.post("/policies/refunds/versions/2/shadow/").status_code == 409


def test_a_retired_version_is_restored(paula: User) -> None:
    first = drafted(paula)
    lifecycle.save_draft("refunds", [row("b", "deny")], by=paula, base=first)
    response = signed_in(paula).post("/policies/refunds/versions/1/restore/")
    assert response["Location"] == "/policies/refunds/versions/3/"
    assert PolicyVersion.objects.get(number=3).rules == first.rules


def test_the_mode_changes_with_a_reason_as_a_whole_and_by_scope(paula: User) -> None:
    drafted(paula)
    client, path = signed_in(paula), "/policies/refunds/mode/"
    bad = client.post(path, {"mode": "off", "reason": " ", "tool": "payments.*"})
    assert bad.status_code == 422 and 'value="payments.*"' in page(bad) and "Say why" in page(bad)
    assert client.post(path, {"mode": "as_the_rest", "reason": "x"}).status_code == 422
    assert client.post(path, {"mode": "shadow", "reason": "Looking."})["Location"] == "/policies/refunds/"
    assert client.post(path, {"mode": "enforce", "reason": "Here.", "tool": "payments.*"}).status_code == 303
    policy = Policy.objects.get()
    assert policy.mode == Mode.SHADOW and policy.modes[0]["mode"] == "enforce"
    assert "payments.*" in get(paula, "/policies/refunds/")
    assert client.post(path, {"mode": "shadow", "reason": "Again."}).status_code == 409


def test_the_links_to_the_simulation_are_those_of_the_version(paula: User) -> None:
    drafted(paula)
    html = get(paula, "/policies/refunds/versions/1/")
    assert '"/policies/refunds/versions/1/try/"' in html and '"/policies/refunds/versions/1/replay/"' in html


def test_the_decision_on_a_change_leads_to_what_it_changes(person: Person) -> None:
    author, reader = person("ann", "policy-admins"), person("bea", "policy-admins")
    in_force(*STRICT)
    version, decision = submitted(LOOSE, author)
    lifecycle.attach_replay(version, {"load": [{"tier": "supervisors", "now": {"total": 1}, "then": {"total": 4}}]})
    page = get(reader, reverse("decision", args=[decision.pk]))
    assert reverse("policy-version", args=["refunds", version.number]) in page
    assert "supervisors: asked 4 times instead of 1" in page and "No policy names who decides" not in page


def test_who_asked_for_another_mode_takes_it_back(person: Person) -> None:
    author, other = person("ann", "policy-admins"), person("bea", "policy-admins")
    policy = in_force(*STRICT).policy
    asked = lifecycle.set_mode(policy, Mode.OFF, by=author, reason="A slip.")
    assert asked is not None and "Withdraw what you asked for" in get(author, reverse("decision", args=[asked.pk]))
    path, sent = reverse("decision-withdraw", args=[asked.pk]), {"reason": "It was a slip."}
    assert signed_in(other).post(path, sent).status_code == 403
    assert signed_in(author).post(path, sent).status_code == 302
    asked.refresh_from_db()
    policy.refresh_from_db()
    assert (asked.state, policy.mode) == ("withdrawn", Mode.ENFORCE)
    assert policy.events.order_by("-seq")[0].what == "sent_back"
    _, change = submitted(LOOSE, author)
    assert signed_in(author).post(reverse("decision-withdraw", args=[change.pk]), sent).status_code == 403
