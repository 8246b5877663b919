"""Webhooks against a real server: signed, guarded, tried again, given up, delivered again; and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django import Settings

from approvals import queue
from approvals.models import Delivery, DeliveryState, DeliveryTry, Event, Webhook
from approvals.outbound import events, leasing, sending, timing, webhooks
from approvals.outbound.wire import Wire
from missions.errors import InvalidInput
from missions.testing.clock import Clock
from tests import decisions
from tests.receivers import HUGE, Receiver, certificate_for, receiver
from tests.unit.test_outbound_signing import verified

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    with receiver() as made:
        yield made


@pytest.fixture
def hook(server: Receiver, olivia: User) -> Webhook:
    return webhooks.add(owner=olivia, name="ops", url=f"{server.url}/ok", events=["worker.down"])[0]


def happen(sentence: str = "No mission worker is running.") -> None:
    with transaction.atomic():
        events.emit("worker.down", sentence=sentence)


def only() -> Delivery:
    return Delivery.objects.get()


def test_what_arrives_is_signed_dated_and_says_what_happened(server: Receiver, olivia: User) -> None:
    webhook, secret = webhooks.add(owner=olivia, name="ops", url=f"{server.url}/ok", events=["decision.opened"])
    decision = decisions.opened(decisions.waiting_mission())
    assert sending.send_due() == "1 events, 1 sent, 0 not."
    [got] = server.got
    assert verified(secret, got.headers, got.body)
    told = json.loads(got.body)
    assert told["type"] == "decision.opened" and told["data"]["decision"] == str(decision.pk)
    assert told["data"]["url"] == f"http://127.0.0.1:8000/queue/{decision.pk}/"
    assert b"ORD-1001" in got.body  # the sentence, and nothing of the arguments
    assert b"payments.refund" not in got.body and b"currency" not in got.body
    assert got.headers["host"] == f"127.0.0.1:{server.port}" and got.headers["content-type"] == "application/json"
    assert only().state == DeliveryState.SENT and DeliveryTry.objects.get().status == 200
    assert secret not in str(list(Webhook.objects.values()))  # it is nowhere in the table
    assert sending.send_due() == "0 events, 0 sent, 0 not." and len(server.got) == 1
    assert webhook.salt not in secret


def test_slack_gets_one_escaped_line_of_text(server: Receiver, olivia: User) -> None:
    webhooks.add(owner=olivia, name="chat", url=f"{server.url}/ok", format="slack", events=["*"])
    happen("Pay <b>A & B</b>\n\u202e<http://evil|click>")
    sending.send_due()
    text = json.loads(server.got[0].body)
    assert text == {
        "text": "Mission workers are down: Pay &lt;b&gt;A &amp; B&lt;/b&gt; &lt;http://evil|click&gt;"
        " <http://127.0.0.1:8000/health/|Open>"
    }


def test_an_event_happens_exactly_if_its_transaction_does(hook: Webhook, server: Receiver) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        events.emit("worker.down", sentence="It never happened.")
        raise ZeroDivisionError
    assert not Event.objects.exists() and sending.send_due().startswith("0 events")
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from django_q_ormq")
        assert cursor.fetchone() == (0,)
        happen()
        happen()  # the first one is handed over already
        cursor.execute("select count(*) from django_q_ormq")
        assert cursor.fetchone() == (1,)


def test_a_failure_is_tried_again_later_and_later_and_given_up_with_the_reason(
    server: Receiver, olivia: User, clock: Clock
) -> None:
    webhooks.add(owner=olivia, name="ops", url=f"{server.url}/fail", events=["*"])
    happen()
    sending.send_due()
    assert (only().state, only().tries) == (DeliveryState.WAITING, 1) and sending.send_due().startswith("0 events, 0")
    ids = set()
    for tries in range(2, timing.MOST_TRIES + 1):
        clock.advance(seconds=timing.backoff(tries, jitter=1).total_seconds())
        sending.send_due()
        assert only().tries == tries
    assert (only().state, only().error) == (DeliveryState.FAILED, "Answered 500. It did not accept.")
    clock.advance(days=1)
    sending.send_due()
    ids = {got.headers["webhook-id"] for got in server.got}
    assert len(server.got) == timing.MOST_TRIES == DeliveryTry.objects.count() and len(ids) == 1


def test_what_was_given_up_can_be_delivered_again_under_the_same_id(server: Receiver, olivia: User) -> None:
    hook, _ = webhooks.add(owner=olivia, name="ops", url=f"{server.url}/gone", events=["*"])
    happen()
    sending.send_due()
    hook.refresh_from_db()
    assert only().state == DeliveryState.FAILED and not hook.active and hook.why_off == "It answered 410 Gone."
    webhooks.change(hook, url=f"{server.url}/ok", active=True)
    assert webhooks.again(only().pk)
    sending.send_due()
    first, second = server.got
    assert only().state == DeliveryState.SENT and first.headers["webhook-id"] == second.headers["webhook-id"]


def test_redirects_are_not_followed(server: Receiver, olivia: User) -> None:
    webhooks.add(owner=olivia, name="ops", url=f"{server.url}/redirect", events=["*"])
    happen()
    sending.send_due()
    assert only().error == "Answered 302. Redirects are not followed." and len(server.got) == 1


def test_a_server_that_hangs_holds_up_no_other(server: Receiver, olivia: User) -> None:
    for name, path in (("a", "hang"), ("b", "ok"), ("c", "ok")):
        webhooks.add(owner=olivia, name=name, url=f"{server.url}/{path}", events=["*"])
    happen()
    assert sending.send_due(Wire(total_seconds=3)) == "1 events, 2 sent, 1 not."
    hung = Delivery.objects.get(webhook__name="a")
    assert hung.error == "No answer within 3 s." and hung.state == DeliveryState.WAITING


def test_ten_megabytes_of_an_answer_are_not_read(server: Receiver, olivia: User) -> None:
    webhooks.add(owner=olivia, name="ops", url=f"{server.url}/huge", events=["*"])
    happen()
    sending.send_due()
    assert only().state == DeliveryState.SENT and server.written < HUGE


def test_a_name_that_changes_its_address_after_it_was_kept_is_not_followed(server: Receiver, olivia: User) -> None:
    """DNS rebinding: public when it is kept, loopback when it is sent to."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])

    def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    webhooks.add(
        owner=olivia, name="ops", url="http://hooks.example.org:8080/", events=["*"], resolver=rebinding
    )
    happen()
    sending.send_due(Wire(resolve=rebinding))
    assert only().state == DeliveryState.FAILED
    assert only().error == "hooks.example.org leads to a loopback address 127.0.0.1, which may not be sent to."
    assert not server.got


def test_the_connection_goes_to_the_judged_address_with_the_names_of_the_url(
    settings: Settings, olivia: User, tmp_path: Path
) -> None:
    """Asked once a send; TLS and Host are for the name, and a certificate for another name is refused."""
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.test", "other.test"]
    certificate = certificate_for("hooks.test", tmp_path)
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        assert asked.count(host) <= 2, "resolved again after it was judged"
        return ["127.0.0.1"]

    with receiver(certificate) as server:
        for name in ("hooks.test", "other.test"):
            url = f"https://{name}:{server.port}/ok"
            webhooks.add(owner=olivia, name=name[:5], url=url, events=["*"], resolver=resolver)
        happen()
        wire = Wire(resolve=resolver, trust=ssl.create_default_context(cafile=str(certificate)))
        assert sending.send_due(wire) == "1 events, 1 sent, 1 not."
        [got] = server.got
        assert got.headers["host"] == f"hooks.test:{server.port}" and set(server.names) == {"hooks.test", "other.test"}
    assert "CERTIFICATE_VERIFY_FAILED" in Delivery.objects.get(webhook__name="other").error
    assert sorted(asked) == ["hooks.test", "hooks.test", "other.test", "other.test"]


def test_a_dead_address_is_passed_over_for_the_next_of_the_same_name(settings: Settings, olivia: User) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.test"]

    def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nothing listens on the first

    with receiver() as server:
        webhooks.add(owner=olivia, name="ops", url=f"http://hooks.test:{server.port}/ok", events=["*"], resolver=two)
        happen()
        sending.send_due(Wire(resolve=two))
        assert only().state == DeliveryState.SENT and len(server.got) == 1


def test_proxies_of_the_environment_are_ignored(
    hook: Webhook, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    happen()
    sending.send_due()
    assert only().state == DeliveryState.SENT and len(server.got) == 1


def test_a_webhook_whose_keeper_may_not_any_more_is_told_nothing(
    hook: Webhook, server: Receiver, olivia: User
) -> None:
    happen()
    olivia.groups.clear()
    happen()  # one spread before this would be dropped when it is sent; this one is not written at all
    sending.send_due()
    assert not server.got and not Delivery.objects.filter(state=DeliveryState.SENT).exists()


def test_a_url_that_is_refused_is_not_kept(olivia: User, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = []
    for url in ("http://127.0.0.1/", "http://169.254.169.254/latest/", "ftp://example.org/", "http://u:p@example.org/"):
        with pytest.raises(InvalidInput) as refused:
            webhooks.add(owner=olivia, name="ops", url=url, events=["*"])
        assert [error["field"] for error in refused.value.errors] == ["url"]
    with pytest.raises(InvalidInput) as refused:
        webhooks.add(owner=olivia, name="No Name", url="http://10.0.0.1/", events=["no.such"], format="xml")
    assert {error["field"] for error in refused.value.errors} == {"name", "url", "events", "format"}
    assert not Webhook.objects.exists()


# -- At least once -----------------------------------------------------------------------------------------------------

SENDER = """
import django; django.setup()
from approvals.outbound import sending
print(sending.send_due())
"""


def test_a_sender_that_is_killed_between_sending_and_recording_loses_nothing(
    hook: Webhook, server: Receiver, process_environment: dict[str, str], clock: Clock
) -> None:
    happen()
    environment = {**process_environment, "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}
    sender = subprocess.Popen([sys.executable, "-c", SENDER], cwd=ROOT, env=environment)
    server.on_got = lambda got: os.kill(sender.pid, signal.SIGKILL)  # it has arrived, and nobody has written that down
    assert sender.wait(60) == -signal.SIGKILL
    server.on_got = lambda got: None
    assert len(server.got) == 1 and only().state == DeliveryState.SENDING
    assert sending.send_due().endswith("0 sent, 0 not.")  # the lease holds yet
    clock.advance(seconds=leasing.LEASE.total_seconds() + 1)
    assert sending.send_due().endswith("1 sent, 0 not.")
    first, second = server.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
    assert only().state == DeliveryState.SENT and only().tries == 2


def test_a_late_result_of_a_lost_lease_changes_nothing(hook: Webhook, clock: Clock) -> None:
    happen()
    sending.spreading.spread_all()
    [slow] = leasing.take()
    clock.advance(seconds=leasing.LEASE.total_seconds() + 1)
    [fast] = leasing.take()
    assert leasing.record(fast, leasing.Answer(status=200))
    assert not leasing.record(slow, leasing.Answer(error="No answer within 10 s."))
    assert only().state == DeliveryState.SENT and only().error == ""


def test_what_kills_its_sender_each_time_is_given_up(hook: Webhook, clock: Clock) -> None:
    happen()
    sending.spreading.spread_all()
    for _ in range(timing.MOST_TRIES):
        assert len(leasing.take()) == 1
        clock.advance(seconds=leasing.LEASE.total_seconds() + 1)
    assert leasing.take() == []
    assert (only().state, only().error) == (DeliveryState.FAILED, "Its sender was cut off each time.")


def test_several_senders_share_the_work_and_send_each_once(hook: Webhook, server: Receiver) -> None:
    for number in range(40):
        happen(f"Number {number}")
    faults: list[BaseException] = []

    def send() -> None:
        try:
            sending.send_due()
        except BaseException as error:  # told by the test
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(server.got) == len({got.headers["webhook-id"] for got in server.got}) == 40


def test_no_transaction_is_open_while_something_is_sent(hook: Webhook, server: Receiver) -> None:
    seen: list[int] = []

    def look(got: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_stat_activity where datname = current_database()"
                           " and state like 'idle in transaction%%'", [])  # fmt: skip
            seen.append(cursor.fetchone()[0])
        connection.close()

    server.on_got = look
    happen()
    sending.send_due()
    assert seen == [0]


def test_a_decision_that_is_superseded_before_it_is_sent_is_still_told_as_it_happened(
    server: Receiver, olivia: User
) -> None:
    webhooks.add(owner=olivia, name="ops", url=f"{server.url}/ok", events=["decision.opened", "decision.settled"])
    decision = decisions.opened(decisions.waiting_mission())
    queue.withdraw(decision.pk)
    sending.send_due()
    told = [json.loads(got.body) for got in server.got]
    assert sorted((one["type"], one["data"]["facts"]["state"]) for one in told) == [
        ("decision.opened", "open"), ("decision.settled", "withdrawn"),
    ]  # fmt: skip
