"""Messages to people by e-mail: plain text, one event or a digest, with links to pages behind sign-in.

Goes through Django's mail, wherever EMAIL_URL says. The Message-ID is that of the delivery, so that a repetition can be
told from another message. No text from outside reaches a header but as one printable line.
"""

from __future__ import annotations

import smtplib
import time
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email

from approvals.models import Delivery
from approvals.outbound import words
from approvals.outbound.wire import Answer

FOOT = "You are told because of your choices: {}/me/notifications/"


def send(address: str, deliveries: Sequence[Delivery]) -> Answer:
    """Send these as one message; what came of it. Never raises for what the mail server does."""
    began = time.monotonic()
    answer = _sent(address, deliveries)
    return replace(answer, milliseconds=int((time.monotonic() - began) * 1000))


def _sent(address: str, deliveries: Sequence[Delivery]) -> Answer:
    try:
        validate_email(address)
    except ValidationError:
        return Answer(error="The person has no usable e-mail address.", final=True)
    try:
        with get_connection() as connection:
            connection.send_messages([message_of(address, deliveries)])
    except smtplib.SMTPRecipientsRefused as refused:
        codes = [code for code, _ in refused.recipients.values()]
        final = bool(codes) and all(500 <= code < 600 for code in codes)
        return Answer(error="The mail server refuses the address.", status=max(codes, default=None), final=final)
    except smtplib.SMTPResponseException as refused:
        return Answer(error=f"The mail server answered {refused.smtp_code}.", status=refused.smtp_code)
    except (smtplib.SMTPException, OSError) as error:
        return Answer(error=f"{type(error).__name__}: {error}"[:300])
    return Answer()


def message_of(address: str, deliveries: Sequence[Delivery]) -> EmailMessage:
    """The message: one event, or a digest of several, oldest first."""
    first = deliveries[0]
    if len(deliveries) == 1:
        subject, parts = words.subject(first.event), [_part(first)]
    else:
        subject = f"{len(deliveries)} things to know"
        parts = [_part(delivery) for delivery in deliveries]
    headers = {"Message-ID": f"<{first.pk}@{_domain()}>", "Auto-Submitted": "auto-generated"}
    body = "\n\n".join([*parts, FOOT.format(settings.PUBLIC_URL)]) + "\n"
    return EmailMessage(subject=subject, body=body, to=[address], headers=headers)


def _part(delivery: Delivery) -> str:
    return f"{words.line(delivery.event)}\n{words.link(delivery.event)}"


def _domain() -> str:
    return settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip(" >") or "localhost"
