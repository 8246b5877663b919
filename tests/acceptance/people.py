"""People who use the system through its REST API, each with a token of their own."""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx2 as httpx

PAUSE_SECONDS = 0.2
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used; by default each client reads all certificates
PATIENCE_SECONDS = 120.0  # with a server that is down, on a machine that does other things too
ENDED = ("completed", "failed", "cancelled", "paused")
Json = dict[str, Any]
Opinion = Callable[[Json], Json | None]  # a decision → the body of a vote without its digest; None: not yet


class Person:
    """Somebody with a token. A request is repeated until the server answers, which may be starting, or dead."""

    def __init__(self, name: str, token: str, url: str) -> None:
        self.name, self._token, self._url = name, token, url

    def ask(self, method: str, path: str, *, body: Json | None = None, stopping: threading.Event | None = None) -> Any:
        """One request, again and again until there is an answer; (status, JSON). None where `stopping` came first."""
        stopping, end = stopping or threading.Event(), time.monotonic() + PATIENCE_SECONDS
        headers = {"Authorization": f"Token {self._token}"}
        given: Json = {
            "base_url": self._url, "headers": headers, "timeout": PATIENCE_SECONDS, "verify": PLAIN, "trust_env": False,
        }  # fmt: skip
        while not stopping.is_set():
            try:
                with httpx.Client(**given) as client:
                    answer = client.request(method, path, json=body)
                if answer.status_code < 500:
                    return answer.status_code, answer.json()
                failure = answer.text[:500]  # the database is away
            except httpx.TransportError as error:
                failure = repr(error)
            assert time.monotonic() < end, f"{method} {path}: no answer within {PATIENCE_SECONDS:g} s: {failure}"
            stopping.wait(PAUSE_SECONDS)
        return None

    def start(self, type: str, input: Json) -> str:
        """Start a mission, one however often it has to be asked for; its id."""
        status, told = self.ask("POST", "missions", body={"type": type, "input": input, "key": uuid.uuid4().hex})
        assert status in (200, 201), told
        return str(told["id"])

    def mission(self, uid: str) -> Json:
        """A mission as the API tells it."""
        status, told = self.ask("GET", f"missions/{uid}")
        assert status == 200, told
        return dict(told)

    def ended(self, uid: str) -> Json | None:
        """The mission once it has ended or was paused, else None."""
        told = self.mission(uid)
        return told if told["state"] in ENDED else None

    def signal(self, uid: str, name: str, payload: Json, key: str) -> None:
        """Send a signal."""
        body = {"name": name, "payload": payload, "key": key}
        status, told = self.ask("POST", f"missions/{uid}/signals", body=body)
        assert status in (200, 202), told

    def waiting(self, stopping: threading.Event | None = None) -> list[Json]:
        """The decisions that wait for this person's vote."""
        answer = self.ask("GET", "decisions?view=my_tiers&limit=100", stopping=stopping)
        if answer is None:
            return []
        status, told = answer
        assert status == 200, told
        return list(told["results"])

    def vote(self, decision: Json, vote: Json, stopping: threading.Event | None = None) -> bool:
        """Answer a decision; whether it counted. Refusals other than "somebody was faster" are an error."""
        body = {**vote, "digest": decision["digest"]}
        answer = self.ask("POST", f"decisions/{decision['id']}/votes", body=body, stopping=stopping)
        if answer is None:
            return False
        status, told = answer
        assert status in (200, 409), told
        return bool(status == 200)


class Reviewer:
    """A person who looks at the queue all the time, in a thread. `with` it; an error comes out at the end."""

    def __init__(self, person: Person, opinion: Opinion) -> None:
        self._person, self._opinion = person, opinion
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._review, name=f"reviewer {person.name}")
        self._error: BaseException | None = None

    def __enter__(self) -> Reviewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _review(self) -> None:
        try:
            while not self._stopping.wait(PAUSE_SECONDS):
                for decision in self._person.waiting(self._stopping):
                    if vote := self._opinion(decision):
                        self._person.vote(decision, vote, self._stopping)
        except BaseException as error:  # told where the test waits for the thread
            self._error = error


def approve(decision: Json) -> Json | None:
    """The opinion of somebody who approves every action."""
    return {"verdict": "approve"} if decision["kind"] == "action" else None
