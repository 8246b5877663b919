"""Hooks and their senders, for tests: the three ways to sign an event."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from approvals.inbound import hooks
from approvals.models import Hook
from missions.engine.clock import database_now
from tests import parcels
from tests.web.rest import V1

STARTS = {
    "verb": "start", "type": parcels.TYPE, "input": '{"address": payload.to, "weight": payload.kilos}',
    "key": "payload.order",
}  # fmt: skip
SIGNALS = {"verb": "signal", "mission_by": "id", "mission": "payload.mission", "signal": "paid"}
EVENT = {"order": "ORD-1", "to": "1 High Street", "kilos": 3}


class Sender:
    """A system outside that knows the secret of a hook."""

    def __init__(self, hook: Hook, secret: str) -> None:
        self.hook, self.secret, self.number = hook, secret, 0
        self.client = Client(raise_request_exception=False)

    def standard(self, body: bytes, id_: str = "", *, at: int | None = None) -> dict[str, str]:
        """The headers of Standard Webhooks; a new id unless one is given."""
        self.number += 1
        id_, at = id_ or f"msg_{self.number}", now() if at is None else at
        told = f"{id_}.{at}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
        return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}

    def hexadecimal(self, told: bytes) -> str:
        """The HMAC as GitHub and Stripe write it."""
        return hmac.new(self.secret.encode(), told, hashlib.sha256).hexdigest()

    def send(self, event: Any, id_: str = "", *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """Send one event; signed as Standard Webhooks unless headers are given."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        sent = self.standard(body, id_, **options) if headers is None else headers
        return self.client.post(f"{V1}/hooks/{self.hook.name}", body, "application/json", headers=sent)


def now() -> int:
    """Seconds since the epoch, on the database's clock."""
    return int(database_now().timestamp())


def sender(by: User, name: str = "shop", **values: Any) -> Sender:
    """A hook of this person, and who sends to it."""
    return Sender(*hooks.make(name, by=by, **values))
