"""An agent that runs elsewhere and asks people through Standfast: opens a decision, learns the answer, acts on it.

Needs Python 3.11 and nothing else. Shown whole in docs/external-decisions.md; run by the tests as a process of its own.

    STANDFAST_URL=http://127.0.0.1:8000 STANDFAST_TOKEN=sf_… python examples/external_agent.py ORD-1001 900.00

It learns the answer in two ways, to show both: by asking again and again, and by a callback that it verifies. One is
enough in a real agent. `CALLBACK_HOST` is where Standfast reaches this machine.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

BASE = os.environ.get("STANDFAST_URL", "http://127.0.0.1:8000")
# manage.py token create USER --agent shop-agent --scope decisions:open --scope decisions:read
TOKEN = os.environ["STANDFAST_TOKEN"]
CALLBACK_HOST = os.environ.get("CALLBACK_HOST", "127.0.0.1")
TOLERANCE_SECONDS = 300  # an older message may be a recorded one, played again
PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "3600"))
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))


def call(method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
    """One request of the REST API; a problem ends the agent with what Standfast says."""
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key  # a lost answer can be asked for again: the decision is opened once
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{BASE}/api/v1/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as refused:
        sys.exit(f"Standfast refuses: {refused.read().decode()}")


def verified(secret: str, headers: Any, body: bytes) -> bool:
    """Whether a callback is from Standfast and of now (https://www.standardwebhooks.com)."""
    message, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not seconds.isdigit() or abs(time.time() - int(seconds)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = hmac.new(key, f"{message}.{seconds}.".encode() + body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(wanted).decode()}"
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one, expected) for one in given)


class Callbacks(HTTPServer):
    """Takes callbacks, each once, and drops what is not signed with our secret."""

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Handler)
        self.secret = ""
        self.seen: set[str] = set()  # a callback may come twice: its id tells
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()


class Handler(BaseHTTPRequestHandler):
    """One callback."""

    server: Callbacks

    def do_POST(self) -> None:
        """204 once it is ours; 401 for a bad signature."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self.server.secret or not verified(self.server.secret, self.headers, body):
            self.send_error(401)
            return
        if self.headers["webhook-id"] not in self.server.seen:
            self.server.seen.add(self.headers["webhook-id"])
            self.server.answers.put(json.loads(body)["data"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Standard output is for the agent's own words."""


def polled(decision: str) -> dict[str, Any]:
    """The decision once people, policy or time have settled it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        now = call("GET", f"decisions/{decision}")
        held = now["state"] == "approved" and now["hold_until"] and not now["released_at"]  # it may still be undone
        if now["state"] != "open" and not held:
            return now
        time.sleep(POLL_SECONDS)
    sys.exit("Nobody has answered.")


def main(order: str, amount: str) -> None:
    """Ask whether to pay an order back, and do what people say."""
    server = Callbacks()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    opened = call("POST", "decisions", {
        "sentence": f"Refund £{amount} for order {order}",
        "action": {
            "tool": "shop.refund", "args": {"order_id": order, "amount": amount, "currency": "GBP"},
            "effect_class": "irreversible",
        },
        "evidence": [{"title": "What the customer wrote", "text": "It arrived broken.", "author": "agent"}],
        "source": "the shop's returns desk", "due_in": "4h", "expires_in": "1d", "on_expiry": "reject",
        "callback_url": f"http://{CALLBACK_HOST}:{server.server_port}/standfast",
    }, key=f"refund-{order}")  # fmt: skip
    server.secret = opened["callback_secret"]
    print(f"opened {opened['id']}: {opened['state']}", flush=True)
    settled = polled(opened["id"])
    print(f"polled: {settled['state']} by {', '.join(settled['resolution']['by'])}", flush=True)
    told = server.answers.get(timeout=PATIENCE_SECONDS)
    print(f"called back: {told['state']} for {told['key']}, verified", flush=True)
    # The answer is for exactly what was asked: its digest says so. Anything else would have to be asked anew.
    if settled["state"] == "approved" and settled["resolution"]["digest"] == opened["digest"] == told["digest"]:
        print(f"paying {amount} for {order}", flush=True)
    else:
        print("not paying", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
