"""`email.send`: one e-mail by the installation's mail server, handed over once.

SMTP knows no keys: a server that gets a message twice delivers it twice. So the tool keeps a row of its own under the
effect's key, commits it just before the last byte of the message leaves, and again when the server has answered. A
probe tells from that row alone. With an answer on record it was sent; without a row it was not, and the probe leaves
one behind that keeps a call which is still on its way from sending. Only a death between the last byte and the server's
answer can not be told from here: then a person is asked, with the Message-ID to look for.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email
from pydantic import Field

from missions.authoring import OutcomeUnknown, ProbeResult, ToolCall, ToolFailed, TryLater, tool
from missions.engine import crashpoints
from missions.library.bundled import outbox

RECIPIENTS, SUBJECT, TEXT = 50, 200, 256 * 1024
ID_CHARACTERS = 40  # of the key: 160 bits, and the header stays one line
OK = (250, 251)
Refusals = list[dict[str, str]]
Recipients = Annotated[list[str], Field(min_length=1, max_length=RECIPIENTS)]
Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT)]
Text = Annotated[str, Field(max_length=TEXT)]


def probe(call: ToolCall, to: Recipients, subject: Subject, text: Text, reply_to: str = "") -> ProbeResult:
    """Whether the mail server took it, as far as the row under its key says."""
    return outbox.look_up(call)


@tool(
    name="email.send", effect="irreversible", retry_safety="verifiable", probe=outbox.in_thread(probe), timeout=60,
    sentence="Send the e-mail “{subject}” to {to}",
)
def email_send(call: ToolCall, to: Recipients, subject: Subject, text: Text, reply_to: str = "") -> dict[str, Any]:
    """Send an e-mail.

    Plain text to at most 50 addresses. Answers `message_id`, how many addresses the server `accepted`, and whom it
    `refused` with which words; it is refused as a whole where the server takes none.
    """
    if settings.EMAIL is None:
        raise ToolFailed("No mail server is set up: EMAIL_URL.", code="not_set_up")
    if (known := outbox.sent(call)) is not None:
        return known
    message = _message(call, to, subject, text, reply_to)
    backend: BaseEmailBackend = get_connection()
    try:
        _greet(backend)
        server = getattr(backend, "connection", None)
        if isinstance(server, smtplib.SMTP):
            return _by_smtp(call, server, message)
        return _by_backend(call, backend, message)
    finally:
        _hang_up(backend)


def _greet(backend: BaseEmailBackend) -> None:
    try:
        backend.open()
    except smtplib.SMTPAuthenticationError as error:
        raise ToolFailed("The mail server does not let us in; see EMAIL_URL.", code="sign_in") from error
    except (smtplib.SMTPException, OSError) as error:
        raise TryLater(f"The mail server can not be reached: {type(error).__name__}.") from error


def _message(call: ToolCall, to: list[str], subject: str, text: str, reply_to: str) -> EmailMessage:
    wrong = [address for address in (*to, *filter(None, [reply_to])) if not _is_address(address)]
    if wrong:
        raise ToolFailed(f"{wrong[0]!r} is no e-mail address.", code="invalid")
    if not subject.isprintable() or len({address.lower() for address in to}) < len(to):
        raise ToolFailed("A subject is one printable line, and nobody is named twice.", code="invalid")
    return EmailMessage(
        subject=subject, body=text, to=to, reply_to=[reply_to] if reply_to else None,
        headers={
            "Message-ID": f"<{call.idempotency_key[:ID_CHARACTERS]}@{_domain()}>", "Auto-Submitted": "auto-generated",
        },
    )


def _is_address(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return address.isascii()


def _domain() -> str:
    return settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip(" >") or "localhost"


def _by_backend(call: ToolCall, backend: BaseEmailBackend, message: EmailMessage) -> dict[str, Any]:
    """Where mail goes to a console or a file there is nobody who could refuse it."""
    outbox.hand_over(call, _id_of(message))
    backend.send_messages([message])
    return outbox.taken(call, {"message_id": _id_of(message), "accepted": len(message.to), "refused": []})


def _by_smtp(call: ToolCall, server: smtplib.SMTP, message: EmailMessage) -> dict[str, Any]:
    """The dialogue of RFC 5321, section 3.3, so that it is known what the server has when it breaks off."""
    data = re.sub(rb"\r\n|\r|\n", b"\r\n", message.message().as_bytes().rstrip(b"\r\n") + b"\n")
    data = re.sub(rb"(?m)^\.", b"..", data)  # no line of the text ends the message
    try:
        refused = _envelope(server, message)
        _expect(server.docmd("DATA"), (354,))
        server.send(data)  # without its end, the server can not act on it
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        raise TryLater(f"The mail server hung up before it had the message: {type(error).__name__}.") from error
    outbox.hand_over(call, _id_of(message))
    try:
        server.send(b".\r\n")
        crashpoints.reach("call_sent")
        answer = server.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise OutcomeUnknown(f"The mail server hung up before it answered for {_id_of(message)}.") from error
    if answer[0] not in OK:
        outbox.not_taken(call)
    _expect(answer, OK)
    accepted = len(message.to) - len(refused)
    result = outbox.taken(call, {"message_id": _id_of(message), "accepted": accepted, "refused": refused})
    crashpoints.reach("call_answered")
    return result


def _envelope(server: smtplib.SMTP, message: EmailMessage) -> Refusals:
    """Who sends it to whom; whom the server refuses. Raises ToolFailed, TryLater where it refuses all."""
    server.ehlo_or_helo_if_needed()
    _expect(server.mail(sanitize_address(message.from_email, "utf-8")), OK)
    answers = [(address, server.rcpt(address)) for address in message.to]
    refused = [{"address": address, "answer": _words(answer)} for address, answer in answers if answer[0] not in OK]
    if len(refused) == len(answers):
        softly = [answer for _, answer in answers if answer[0] < 500]
        _expect((softly or [answers[0][1]])[0], OK)
    return refused


def _expect(answer: tuple[int, bytes], wanted: tuple[int, ...]) -> None:
    """Raises TryLater for an answer that says *later* (RFC 5321, 4.2.1: 4xx), ToolFailed for one that says *no*."""
    if answer[0] in wanted:
        return
    told = f"The mail server refuses it: {_words(answer)}"
    raise TryLater(told) if 400 <= answer[0] < 500 else ToolFailed(told, code=f"smtp_{answer[0]}")


def _words(answer: tuple[int, bytes]) -> str:
    text = " ".join(answer[1].decode("utf-8", "replace").split())
    return f"{answer[0]} {text}"[:200]


def _id_of(message: EmailMessage) -> str:
    return str(message.extra_headers["Message-ID"])


def _hang_up(backend: BaseEmailBackend) -> None:
    """Without a farewell: what the server says to it changes nothing of what was sent."""
    server = getattr(backend, "connection", None)
    if isinstance(server, smtplib.SMTP):
        server.close()
        return
    with contextlib.suppress(smtplib.SMTPException, OSError):  # a dialogue that broke off while it began
        backend.close()
