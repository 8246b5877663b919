"""`email.send`: handed over once, and what a probe can tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from typing import Any

import pytest
from pytest_django import Settings

from config import mail
from missions.authoring import OutcomeUnknown, ToolFailed, TryLater
from missions.engine.threads import closing
from missions.library.bundled import outbox
from missions.models import OutgoingMail
from tests.bundled import call_of, called, probed
from tests.receivers import Mailbox, mail_server

pytestmark = pytest.mark.django_db(transaction=True)
LETTER: dict[str, Any] = {"to": ["ann@example.org"], "subject": "Grüße", "text": "Hello\n.\n.dots\nÄ"}


@pytest.fixture
def box(settings: Settings) -> Iterator[Mailbox]:
    """A mail server that the installation uses."""
    with mail_server() as running:
        use(settings, running.port)
        yield running


def use(settings: Settings, port: int) -> None:
    settings.EMAIL = parsed = mail.parse(f"smtp://127.0.0.1:{port}/?from=bot@standfast.test&tls=off")
    assert parsed is not None
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = parsed.backend, parsed.host, parsed.port
    settings.EMAIL_HOST_USER, settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = "", False, 5
    settings.DEFAULT_FROM_EMAIL = parsed.sender


def test_a_message_is_sent_as_written_under_the_id_of_its_key(box: Mailbox) -> None:
    call = call_of()
    answer = called("email.send", call, **LETTER, reply_to="desk@example.org")
    message_id = f"<{call.idempotency_key[:40]}@standfast.test>"
    assert answer == {"message_id": message_id, "accepted": 1, "refused": []}
    ((sender, recipients, text),) = box.mails
    assert ("bot@standfast.test" in sender, recipients) == (True, ["ann@example.org"])
    sent = message_from_bytes(text.removesuffix(".\r\n").replace("\n..", "\n.").encode())
    assert (sent["Message-ID"], sent["Reply-To"]) == (message_id, "desk@example.org")
    body = sent.get_payload(decode=True)
    assert isinstance(body, bytes) and body.decode().split() == ["Hello", ".", ".dots", "Ä"]


def test_the_same_key_sends_once_and_answers_the_same(box: Mailbox) -> None:
    call = call_of()
    assert called("email.send", call, **LETTER) == called("email.send", call, **LETTER)
    found = probed("email.send", call, **LETTER)
    assert found.found is True and found.result["accepted"] == 1 and len(box.mails) == 1


def test_whom_the_server_refuses_is_told_and_the_others_get_it(box: Mailbox) -> None:
    box.refuses, box.refused = "550 no such user", "bob@"
    answer = called("email.send", **{**LETTER, "to": ["ann@example.org", "bob@example.org"]})
    assert answer["accepted"] == 1
    assert answer["refused"] == [{"address": "bob@example.org", "answer": "550 no such user"}]
    assert box.mails[0][1] == ["ann@example.org"]


@pytest.mark.parametrize(("answer", "raised"), [("550 no", ToolFailed), ("450 later", TryLater)])
def test_where_all_are_refused_nothing_is_sent(box: Mailbox, answer: str, raised: type[Exception]) -> None:
    box.refuses = answer
    with pytest.raises(raised):
        called("email.send", **LETTER)
    assert box.mails == [] and not OutgoingMail.objects.exists()


@pytest.mark.parametrize(("answer", "raised"), [("554 spam", ToolFailed), ("451 later", TryLater)])
def test_a_message_that_is_refused_as_a_whole_was_not_sent(box: Mailbox, answer: str, raised: type[Exception]) -> None:
    call = call_of()
    box.answers = answer
    with pytest.raises(raised):
        called("email.send", call, **LETTER)
    box.answers = "250 ok"
    assert called("email.send", call, **LETTER)["accepted"] == 1


def test_a_server_that_hangs_up_before_its_answer_leaves_a_doubt_that_only_people_settle(box: Mailbox) -> None:
    call = call_of()
    box.answers = ""
    with pytest.raises(OutcomeUnknown):
        called("email.send", call, **LETTER)
    found = probed("email.send", call, **LETTER)
    assert (found.found, found.final) == (None, True) and call.idempotency_key[:40] in found.detail
    box.answers = "250 ok"
    with pytest.raises(OutcomeUnknown):
        called("email.send", call, **LETTER)
    assert len(box.mails) == 1


def test_after_a_probe_found_nothing_a_late_call_sends_nothing(box: Mailbox) -> None:
    call = call_of()
    assert probed("email.send", call, **LETTER).found is False
    with pytest.raises(ToolFailed) as caught:
        called("email.send", call, **LETTER)
    assert caught.value.facts["code"] == "given_up" and box.mails == []
    later = call_of(call.idempotency_key, seconds=120)  # after a restored backup the same key is used again
    assert called("email.send", later, **LETTER)["accepted"] == 1


def test_a_probe_between_never_lets_both_happen(box: Mailbox) -> None:
    """Whatever the probe says while the server has the message, it is not that nothing happened."""
    call, said = call_of(), []

    def look(text: str) -> None:
        with ThreadPoolExecutor(1) as pool:
            said.append(pool.submit(closing, outbox.look_up, call).result())

    box.on_data = look
    called("email.send", call, **LETTER)
    assert [(one.found, one.final) for one in said] == [(None, True)]


def test_without_a_server_nothing_was_sent(settings: Settings) -> None:
    use(settings, 9)
    with pytest.raises(TryLater):
        called("email.send", **LETTER)
    settings.EMAIL = None
    with pytest.raises(ToolFailed, match="EMAIL_URL"):
        called("email.send", **LETTER)


def test_wrong_credentials_are_no_doubt(box: Mailbox, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "bot", "the-password"
    with pytest.raises((ToolFailed, TryLater)) as caught:
        called("email.send", **LETTER)
    assert "the-password" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"to": ["nobody"]}, {"to": ["a@b.example\r\nBcc: c@d.example"]}, {"to": ["ann@example.org", "Ann@example.org"]},
     {"subject": "a\nBcc: x@example.org"}, {"reply_to": "x"}, {"to": ["jürgen@example.org"]}],
)  # fmt: skip
def test_what_is_no_address_or_would_forge_a_header_is_refused(box: Mailbox, change: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed):
        called("email.send", **{**LETTER, **change})
    assert box.mails == []


def test_a_console_has_nobody_who_refuses(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.EMAIL = mail.parse("console:")
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    call = call_of()
    called("email.send", call, **LETTER)
    assert call.idempotency_key[:40] in capsys.readouterr().out
    assert probed("email.send", call, **LETTER).found is True
