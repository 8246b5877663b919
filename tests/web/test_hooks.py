"""Events from outside: proven, understood, counted once."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any

import httpx2
import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client
from playwright.sync_api import expect

from approvals.inbound import arriving, hooks
from approvals.models import Arrival, ArrivalOutcome, Hook, HookVersion
from missions.engine import mailbox
from missions.engine.dsn import conninfo
from missions.models import Brief, Mission, RestrictedScope, Restriction, Signal, State
from tests import hooked, parcels
from tests.hooked import EVENT, SIGNALS, STARTS, sender
from tests.web.conftest import Visit, WebServer
from tests.web.rest import V1, client_of, fields_of, post, problem_of
from tests.web.test_mcp_server import waits_for_a_lock

pytestmark = pytest.mark.django_db


# -- What an event does ------------------------------------------------------------------------------------------------
def test_an_event_starts_a_mission_in_the_owners_name_and_its_key_counts_once(olivia: User) -> None:
    shop = sender(olivia, **STARTS, title='"Parcel of " + payload.order')
    answer = shop.send(EVENT)
    assert answer.status_code == 201, answer.content
    mission = Mission.objects.get(uid=answer.json()["mission"])
    brief = Brief.objects.get(pk=mission.pk)
    assert (brief.title, brief.started_by, brief.started_via) == ("Parcel of ORD-1", olivia, "hook")
    again = shop.send(EVENT)  # another delivery of the same order
    assert (again.status_code, again.json()["mission"]) == (200, str(mission.uid))
    assert Mission.objects.count() == 1


def test_the_same_event_twice_counts_once(olivia: User) -> None:
    shop = sender(olivia, **{**STARTS, "key": ""})
    first, second = shop.send(EVENT, "msg_a"), shop.send(EVENT, "msg_a")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {**first.json(), "repeated": True}
    assert shop.send(EVENT, "msg_b").status_code == 201
    assert (Mission.objects.count(), Arrival.objects.get(key="id:msg_a").times) == (2, 2)
    problem_of(shop.send({**EVENT, "order": "x"}, "msg_a"), 409, "key_reused")


def test_an_event_signals_a_mission_by_its_id(olivia: User) -> None:
    mission = parcels.park(parcels.mission(olivia), "signal:paid")
    shop = sender(olivia, **SIGNALS, payload='{"amount": payload.amount}', key="payload.id")
    event = {"mission": str(mission.uid), "amount": "3.00", "id": 7}
    answer = shop.send(event)
    assert (answer.status_code, answer.json()["mission"]) == (202, str(mission.uid))
    assert shop.send(event).status_code == 200  # the same deed in another delivery
    signal = Signal.objects.get(mission_id=mission.pk)
    assert (signal.name, signal.sender, signal.key) == ("paid", "hook shop", f"hook:{shop.hook.pk}:7")
    mission.refresh_from_db()
    assert mission.wake_at is not None


def test_an_event_signals_the_mission_that_was_started_with_a_key(olivia: User, sam: User) -> None:
    starts = sender(olivia, "orders", **STARTS)
    started = starts.send(EVENT).json()["mission"]
    pays = sender(olivia, "payments", **{**SIGNALS, "mission_by": "key", "mission": '"ORD-" + string(payload.no)'})
    assert pays.send({"no": 1}).json()["mission"] == started
    by_hand = parcels.mission(sam, key="ORD-2")
    assert pays.send({"no": 2}).json()["mission"] == str(by_hand.uid)
    parcels.mission(olivia, key="ORD-2")
    problem_of(pays.send({"no": 2}), 409, "several_missions")
    problem_of(pays.send({"no": 3}), 404, "unknown_mission")


def test_an_event_whose_condition_does_not_hold_is_ignored(olivia: User) -> None:
    shop = sender(olivia, **STARTS, when='headers["x-event"] == "order" && payload.order != ""')
    body = b'{"order": "", "to": "x", "kilos": 1}'
    signed = {**shop.standard(body, "msg_a"), "x-event": "order"}
    answer = shop.send(body, headers=signed)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["mission"]) == (200, "ignored", None)
    assert shop.send(body, headers=signed).json()["repeated"] is True
    assert not Mission.objects.exists()


# -- What is refused ---------------------------------------------------------------------------------------------------
def test_what_is_not_well_signed_is_told_the_same_as_of_a_hook_that_is_not_there(olivia: User) -> None:
    shop = sender(olivia, **STARTS)
    body = b"{}"
    good, hour = shop.standard(body), 3600
    bad = [
        {}, {**good, "webhook-signature": "v1,AAAA"}, {**good, "webhook-id": "msg_x"}, {**good, "webhook-id": ""},
        {**good, "webhook-signature": good["webhook-signature"].removeprefix("v1,")},
        {**good, "webhook-timestamp": "1e9"}, shop.standard(body, at=hooked.now() - hour),
        shop.standard(body, at=hooked.now() + hour), shop.standard(b"{ }"), {**good, "webhook-id": "x" * 191},
    ]  # fmt: skip
    answers = [problem_of(shop.send(body, headers=one), 404, "unknown_hook") for one in bad]
    nowhere = client_of().post(f"{V1}/hooks/nowhere", body, content_type="application/json", headers=good)
    assert all(one == nowhere.json() for one in answers)
    shop.hook.refresh_from_db()
    assert (shop.hook.refusals, Arrival.objects.count()) == (len(bad), 0)
    assert shop.hook.refused_why == "It came without a usable header webhook-id."


def test_a_recorded_event_is_of_no_use_once_its_time_is_over(olivia: User, clock: Any) -> None:
    shop = sender(olivia, **STARTS)
    body = b'{"order": "1", "to": "x", "kilos": 1}'
    signed = shop.standard(body)
    clock.advance(minutes=4)
    assert shop.send(body, headers=signed).status_code == 201
    clock.advance(minutes=2)
    assert shop.send(body, headers=signed).status_code == 404


def test_what_was_refused_may_come_again_and_is_understood_anew(olivia: User) -> None:
    shop = sender(olivia, **STARTS)
    wrong = {"order": "ORD-1", "to": "1 High Street"}
    problem = problem_of(shop.send(wrong, "msg_a"), 422, "formula_failed")
    assert "kilos" in problem["detail"]
    arrival = Arrival.objects.get()
    assert (arrival.outcome, arrival.code) == (ArrivalOutcome.REFUSED, "formula_failed") and "kilos" in arrival.why
    hooks.change(shop.hook, by=olivia, input='{"address": payload.to, "weight": 1}')
    assert shop.send(wrong, "msg_a").status_code == 201
    arrival.refresh_from_db()
    assert (arrival.outcome, arrival.why, arrival.times, arrival.number) == (ArrivalOutcome.STARTED, "", 2, 2)


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({**EVENT, "kilos": "three"}, 422, "invalid_input"),
        (b"not json", 400, "bad_json"),
        (b"[]", 400, "not_an_object"),
        (b'{"a": NaN}', 400, "bad_number"),
        (b'{"a": "\\u0000"}', 400, "nul_character"),
        (b'{"a": 1, "a": 2}', 400, "duplicate_key"),
        ({**EVENT, "order": {"id": 1}}, 422, "formula_failed"),
        ({**EVENT, "order": "x" * 151}, 422, "formula_failed"),
    ],
)
def test_an_event_that_does_not_fit_is_refused_and_says_why(olivia: User, event: Any, status: int, code: str) -> None:
    shop = sender(olivia, **STARTS)
    problem_of(shop.send(event), status, code)
    assert Arrival.objects.get().code == code and not Mission.objects.exists()


def test_an_event_does_no_more_than_the_hooks_owner_may(olivia: User, sam: User) -> None:
    shop = sender(olivia, **STARTS)
    olivia.groups.clear()
    problem_of(shop.send(EVENT), 403, "permission_denied")
    mission = parcels.mission(sam)
    pays = sender(olivia, "payments", **SIGNALS)
    problem_of(pays.send({"mission": str(mission.uid)}), 404, "unknown_mission")
    olivia.groups.add(Group.objects.get_or_create(name="auditors")[0])
    problem_of(pays.send({"mission": str(mission.uid)}), 403, "permission_denied")
    User.objects.filter(pk=olivia.pk).update(is_active=False)
    problem_of(pays.send({"mission": str(mission.uid)}), 404, "unknown_mission")
    assert not Signal.objects.exists()


def test_an_ended_mission_takes_no_signal(olivia: User) -> None:
    mission = parcels.complete(parcels.mission(olivia))
    problem_of(sender(olivia, **SIGNALS).send({"mission": str(mission.uid)}), 409, "mission_ended")
    assert Arrival.objects.get().mission is None


def test_a_hook_that_is_off_does_nothing_and_says_so_to_its_sender(olivia: User) -> None:
    shop = sender(olivia, **STARTS, active=False)
    problem_of(shop.send(EVENT), 409, "hook_off")
    problem_of(shop.send(EVENT, headers={}), 404, "unknown_hook")
    assert not Arrival.objects.exists()


def test_an_event_that_is_too_large_is_refused(olivia: User) -> None:
    shop = sender(olivia, **STARTS)
    problem_of(shop.send(b" " * (arriving.BODY_BYTES + 1)), 413, "payload_too_large")
    assert not Arrival.objects.exists()


# -- Other ways to sign ------------------------------------------------------------------------------------------------
def test_a_sender_that_signs_the_body_alone_is_told_apart_by_the_body(olivia: User) -> None:
    shop = sender(olivia, **{**STARTS, "key": ""}, scheme="body")
    body = b'{"order": "1", "to": "x", "kilos": 1}'
    signed = {"X-Hub-Signature-256": f"sha256={shop.hexadecimal(body)}", "X-GitHub-Delivery": "a"}
    assert shop.send(body, headers=signed).status_code == 201
    played_again = {**signed, "X-GitHub-Delivery": "b"}  # an id that nobody signed
    assert shop.send(body, headers=played_again).json()["repeated"] is True
    problem_of(shop.send(body + b" ", headers=signed), 404, "unknown_hook")
    hooks.change(shop.hook, by=olivia, header="x-signature")
    other = b'{"order": "2", "to": "x", "kilos": 1}'
    assert shop.send(other, headers={"X-Signature": shop.hexadecimal(other).upper()}).status_code == 201


def test_a_sender_that_signs_time_and_body_in_one_header(olivia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET", "whsec_theirs_and_not_ours")
    shop = sender(olivia, **STARTS, scheme="stamped", secret="env:STRIPE_SECRET")
    shop.secret = "whsec_theirs_and_not_ours"
    body = b'{"order": "1", "to": "x", "kilos": 1}'

    def signed(at: int) -> dict[str, str]:
        return {"Stripe-Signature": f"t={at},v0=x,v1={shop.hexadecimal(f'{at}.'.encode() + body)}"}

    assert shop.send(body, headers=signed(hooked.now())).status_code == 201
    problem_of(shop.send(body, headers=signed(hooked.now() - 1000)), 404, "unknown_hook")
    problem_of(shop.send(body, headers={"Stripe-Signature": "t=,v1="}), 404, "unknown_hook")
    monkeypatch.delenv("STRIPE_SECRET")
    problem_of(shop.send(body, headers=signed(hooked.now())), 404, "unknown_hook")
    shop.hook.refresh_from_db()
    assert "env:STRIPE_SECRET" in shop.hook.refused_why and "theirs" not in shop.hook.refused_why


def test_the_secret_before_counts_for_a_day(olivia: User, clock: Any) -> None:
    shop = sender(olivia, **STARTS)
    renewed = hooks.renew(shop.hook)
    assert renewed != shop.secret and shop.send({**EVENT, "order": "1"}).status_code == 201
    clock.advance(days=1)
    assert shop.send({**EVENT, "order": "2"}).status_code == 404
    shop.secret = renewed
    assert shop.send({**EVENT, "order": "2"}).status_code == 201


# -- A burst, and a death ----------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_of_a_burst_each_event_counts_once(olivia: User) -> None:
    shop = sender(olivia, **STARTS)
    answers: list[int] = []

    def send(worker: int) -> None:
        for number in range(10):
            event = {**EVENT, "order": f"ORD-{number}"}
            answers.append(shop.send(event, f"msg_{number}" if worker % 2 else f"msg_{number}_b").status_code)
        connection.close()

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 201} and len(answers) == 40
    assert (Mission.objects.count(), Arrival.objects.count()) == (10, 20)


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_before_its_commit_has_done_nothing(olivia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    mission = parcels.park(parcels.mission(olivia), "signal:paid")
    shop = sender(olivia, **SIGNALS)
    real = mailbox.deliver

    def dies(*args: Any, **options: Any) -> bool:
        real(*args, **options)
        raise SystemExit  # the signal is written, and the transaction is not committed

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(mailbox, "deliver", dies)
        shop.send({"mission": str(mission.uid)}, "msg_a")
    assert not Signal.objects.exists() and not Arrival.objects.exists()
    assert shop.send({"mission": str(mission.uid)}, "msg_a").status_code == 202
    assert shop.send({"mission": str(mission.uid)}, "msg_a").status_code == 200
    assert Signal.objects.count() == 1 and Mission.objects.get(pk=mission.pk).state == State.WAITING


@pytest.mark.django_db(transaction=True)
def test_a_web_process_that_dies_in_the_middle_of_an_event_has_done_nothing(
    own_server: WebServer, olivia: User
) -> None:
    mission = parcels.park(parcels.mission(olivia), "signal:paid")
    shop = sender(olivia, **SIGNALS)
    body = json.dumps({"mission": str(mission.uid)}).encode()
    signed = {**shop.standard(body, "msg_a"), "content-type": "application/json"}
    cut: list[BaseException] = []

    def send() -> int:
        return httpx2.post(f"{own_server.url}{V1}/hooks/shop", content=body, headers=signed, timeout=30).status_code

    def sends() -> None:
        try:
            send()
        except httpx2.HTTPError as error:
            cut.append(error)

    with psycopg.connect(conninfo("standfast test"), autocommit=True) as watcher, transaction.atomic():
        Mission.objects.select_for_update().get(pk=mission.pk)  # the event comes this far, and no further
        sending = threading.Thread(target=sends)
        sending.start()
        while not waits_for_a_lock(watcher):
            assert sending.is_alive(), cut
        own_server.kill()
        sending.join(30)
    own_server.start()
    assert cut and not Arrival.objects.exists()
    assert (send(), send()) == (202, 200)
    assert Signal.objects.count() == 1


# -- Keeping hooks -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"when": "payload.order =="}, "when"), ({"when": '"yes"'}, "when"), ({"key": "true"}, "key"),
        ({"input": "payload.a +"}, "input"), ({"input": "nope.a"}, "input"), ({"type": "no.such"}, "type"),
        ({"tolerance_seconds": 0}, "tolerance_seconds"), ({"header": "X Y"}, "header"), ({"secret": "plain"}, "secret"),
        ({"verb": "signal"}, "mission"), ({"signal": "x"}, "signal"), ({"input": "1 / 2"}, "input"),
        ({**SIGNALS, "type": "", "input": "", "signal": "decision:x"}, "signal"),
        ({"when": "[1].all(a, [2].all(b, a == b))"}, "when"),
    ],
)
def test_what_can_not_be_kept_says_where(olivia: User, values: dict[str, Any], field: str) -> None:
    body = {"name": "shop", **STARTS, **values}
    problem = problem_of(post(client_of(olivia), "/hooks", body), 422, "invalid_input")
    assert field in fields_of(problem) and not Hook.objects.exists()


def test_a_formula_that_is_wrong_is_told_with_line_and_column(olivia: User) -> None:
    body = {"name": "shop", **STARTS, "input": '{\n  "address": payload.to,\n  "weight": payload.kilos +\n}'}
    (error,) = problem_of(post(client_of(olivia), "/hooks", body), 422, "invalid_input")["errors"]
    assert (error["field"], error["line"], error["column"]) == ("input", 4, 1)
    assert error["message"].startswith("Line 4, column 1: ")


def test_a_change_is_a_new_version_and_its_owner_is_who_made_it(olivia: User, admin_user: User) -> None:
    made = post(client_of(olivia), "/hooks", {"name": "shop", **STARTS})
    assert made.status_code == 201 and made.json()["own_secret"].startswith("whsec_")
    admin = client_of(admin_user)
    changed = admin.patch(f"{V1}/hooks/shop", {"active": False}, format="json").json()
    assert (changed["version"], changed["owner"], changed["active"]) == (2, "admin", False)
    assert "own_secret" not in changed
    assert admin.patch(f"{V1}/hooks/shop", {"active": False}, format="json").json()["version"] == 2
    versions = admin.get(f"{V1}/hooks/shop/versions").json()["results"]
    assert [(one["number"], one["by"], one["content"]["active"]) for one in versions] == [
        (2, "admin", False), (1, "olivia", True),
    ]  # fmt: skip
    with pytest.raises(DatabaseError), transaction.atomic():
        HookVersion.objects.update(content={})
    problem_of(post(client_of(olivia), "/hooks", {"name": "shop", **STARTS}), 422, "invalid_input")
    problem_of(post(client_of(olivia), "/hooks", {"name": "new", **STARTS}), 422, "invalid_input")


def test_a_payload_can_be_tried_and_does_nothing(olivia: User) -> None:
    client = client_of(olivia)
    assert post(client, "/hooks", {"name": "shop", **STARTS}).status_code == 201
    found = post(client, "/hooks/shop/try", {"payload": EVENT}).json()
    assert found["deed"]["body"] == {"address": "1 High Street", "weight": 3} and found["problem"] == ""
    wrong = post(client, "/hooks/shop/try", {"payload": {**EVENT, "kilos": "x"}}).json()
    assert [error["field"] for error in wrong["errors"]] == ["weight"]
    ignored = post(client, "/hooks/shop/try", {"payload": EVENT, "changes": {"when": "payload.kilos > 5"}}).json()
    assert ignored["ignored"] is True
    mission = parcels.mission(olivia, title="The parcel")
    signals = {**dict.fromkeys(("type", "input", "key"), ""), **SIGNALS}
    signalled = post(client, "/hooks/shop/try", {"payload": {"mission": str(mission.uid)}, "changes": signals}).json()
    assert signalled["mission"] == "The parcel (Ready)"
    nobody = post(client, "/hooks/shop/try", {"payload": {"mission": "x"}, "changes": signals}).json()
    assert "no mission" in nobody["problem"]
    assert Mission.objects.count() == 1 and not Arrival.objects.exists() and not Signal.objects.exists()


def test_a_mission_that_the_reader_may_not_see_is_not_named_in_what_came(olivia: User, admin_user: User) -> None:
    made = sender(admin_user, **STARTS).send(EVENT).json()["mission"]
    client = client_of(olivia)

    def named() -> list[Any]:
        page = client.get("/hooks/shop/").content.decode()
        listed = client.get(f"{V1}/hooks/shop/arrivals").json()["results"]
        return [made in page, *(one["mission"] for one in listed)]

    assert named() == [True, made]
    Restriction.objects.create(scope=RestrictedScope.MISSION_TYPE, name=parcels.TYPE, group="legal")
    assert named() == [False, None]


def test_the_page_makes_changes_tries_and_shows_secrets_once(olivia: User) -> None:
    client = Client()
    client.force_login(olivia)
    form = {
        "name": "shop", "active": "on", "scheme": "standard", "tolerance_seconds": "300", "mission_by": "id",
        "sample": json.dumps(EVENT), **STARTS,
    }  # fmt: skip
    tried = client.post("/hooks/new/", {**form, "try": "1"})
    assert tried.status_code == 200 and b"It would start a mission." in tried.content
    assert b"High Street" in tried.content and not Hook.objects.exists()
    wrong = client.post("/hooks/new/", {**form, "input": "payload."})
    assert wrong.status_code == 422 and b"Line 1, column" in wrong.content
    made = client.post("/hooks/new/", form)
    secret = hooks.own_secret(Hook.objects.get())
    assert made.status_code == 201 and secret.encode() in made.content and "no-store" in made["Cache-Control"]
    assert secret.encode() not in client.get("/hooks/shop/").content
    del form["name"]  # its page asks for none
    assert client.post("/hooks/shop/", {**form, "when": "payload.kilos > 5"}).status_code == 303
    ignored = client.post("/hooks/shop/", {**form, "when": "payload.kilos > 5", "try": "1"})
    assert b"It would be ignored" in ignored.content
    assert b"not JSON" in client.post("/hooks/shop/", {**form, "sample": "{", "try": "1"}).content
    renewed = client.post("/hooks/shop/secret/")
    assert renewed.status_code == 201 and hooks.own_secret(Hook.objects.get()).encode() in renewed.content
    listed = client.get("/hooks/").content
    assert b"starts test.parcel" in listed and b"nothing came yet" in listed
    assert Hook.objects.get().number == 2 and not Arrival.objects.exists()


def test_what_came_is_listed_page_by_page_and_forgotten_after_a_while(olivia: User, clock: Any) -> None:
    shop = sender(olivia, **STARTS)
    for number in range(3):
        shop.send({**EVENT, "order": str(number)})
    client = client_of(olivia)
    first = client.get(f"{V1}/hooks/shop/arrivals?limit=2").json()
    rest = client.get(f"{V1}/hooks/shop/arrivals?cursor={first['next']}").json()
    keys = [one["key"] for one in first["results"] + rest["results"]]
    assert keys == ["id:msg_3", "id:msg_2", "id:msg_1"] and rest["next"] is None
    clock.advance(days=100)
    shop.send({**EVENT, "order": "9"})
    assert hooks.forget(arriving.database_now() - dt.timedelta(days=90)) == 3
    assert Arrival.objects.count() == 1


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_mapping_is_tried_in_the_browser_and_the_page_is_usable_by_all(visit: Visit, site: str, olivia: User) -> None:
    shop = sender(olivia, **STARTS)
    shop.send(EVENT)
    shop.send({**EVENT, "kilos": "x"})
    page = visit(olivia, "/hooks/shop/", viewport={"width": 320, "height": 700})
    page.fill("#id_sample", '{"order": "9", "to": "here", "kilos": 4}')
    page.get_by_role("button", name="Try on this payload").click()
    expect(page.get_by_text("It would start a mission.")).to_be_visible()
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []
