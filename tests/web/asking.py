"""Asking every address as somebody, in a savepoint that is rolled back: what is sent, and the answer in one character.

What a body says matters only where the answer depends on it: a refusal that comes before the body is looked at needs
none, and one without is `~`, let in and refused for what was asked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import resolve
from rest_framework.test import APIClient

from missions.engine.clock import database_now
from tests import agents, hooked, parcels
from tests.web.personas import Scene
from tests.web.test_get_changes_nothing import ADDRESSES, DECIDED

STRANGER = "stranger"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ADMIN = "admin/"  # Django's own pages below it
SIGNS = {401: "L", 403: "!", 404: "?", 405: "-", 400: "~", 409: "~", 422: "~", 503: "~"}
TYPED = {"title": "New", "instructions": "Read.", "memory_scope": "mission"}  # into the form of an agent
LOGIN = "/login/"
QUERY = {f"GET {place}": "?to=1" for place in ("api/v1/missions/%(uid)s/rollback", "missions/%(uid)s/roll-back/")}


def addresses() -> list[str]:
    """All but those of Django's admin."""
    return sorted(template for template in ADDRESSES if not template.startswith(ADMIN))


def address(template: str, values: Mapping[str, Any]) -> str:
    """The template with these values."""
    return "/" + template % {name: quote(str(values[name])) for name in ADDRESSES[template]}


def is_rest(template: str) -> bool:
    """Whether it belongs to the API."""
    return template.startswith("api/")


def view_of(path: str) -> Any:
    """The API's view class there; None of a console page."""
    return getattr(resolve(path).func, "cls", None)


def possible(template: str, path: str) -> Iterator[str]:
    """The verbs that may be there; of a console page only asking tells whether it takes a POST."""
    of_class = view_of(path)
    for verb in VERBS if is_rest(template) else VERBS[:2]:
        if of_class is None or hasattr(of_class, verb.lower()):
            yield verb


def bodies(scene: Scene) -> dict[str, Any]:
    """What is sent, by verb and address."""
    uid, asked, version = "missions/%(uid)s", "decisions/%(decision_id)s", "policies/%(name)s/versions/%(number)s"
    vote = {"verdict": "approve", "digest": scene.asked.digest}
    why, until = {"reason": "A test."}, {"to": "fiona", "until": (database_now() + dt.timedelta(days=3)).isoformat()}
    preview = scene.rests["administrator"].get(f"/api/v1/missions/{scene.own.uid}/rollback?to=1").json()
    back = {**why, "to": 1, "preview_digest": preview["digest"]}
    week = {"time_zone": "UTC", "hours": {"mon": [["09:00", "17:00"]]}}
    rules = {"rules": [{"name": "all", "effect": "deny"}]}
    rest = {
        "POST agents": {"name": "new", **agents.SAID}, "POST agents/%(name)s/versions": agents.SAID,
        "POST agents/%(name)s/versions/%(number)s/activate": why, "POST agents/%(name)s/retire": why,
        "POST agents/%(name)s/rollback": {**why, "to": 1},
        "POST budgets": {"name": "new", "counts": "effects", "amount": "1", "period": "day"},
        "POST calendars": {"name": "new", **week}, "PUT calendars/%(calendar)s": week,
        "POST decisions": {"sentence": "Shall we?"}, f"POST {asked}/comments": {"text": "Hm."},
        f"POST {asked}/delegate": until, f"POST {asked}/looks": {"what": "decision"}, f"POST {asked}/votes": vote,
        f"POST {asked}/withdraw": why, "POST delegations": until, "POST freeze/thaw": why,
        "POST decisions/bulk-votes": {
            "items": [{"id": str(scene.asked.pk), "digest": scene.asked.digest}], "count": 1, "verdict": "approve",
        },
        "POST hooks": {"name": "newly", **hooked.STARTS}, "POST hooks/%(name)s/try": {"payload": hooked.EVENT},
        "POST limits": {"scope": "type", "name": parcels.TYPE, "concurrency": 1},
        "POST missions": {"type": parcels.TYPE, "input": parcels.INPUT},
        f"POST {uid}/decided/%(seq)s/wrong": why, f"POST {uid}/fork": {"at": 1}, f"POST {uid}/rollback": back,
        f"POST {uid}/goal": {"goal": "Less.", **why}, f"POST {uid}/signals": {"name": "x"},
        "POST missions/bulk": {"filter": {"type": parcels.TYPE}, "verb": "pause"},
        "POST policies": {"name": "new", **rules}, "POST policies/%(name)s/versions": rules,
        "POST policies/%(name)s/mode": {"mode": "off", **why}, "POST policies/%(name)s/simulate": {"version": 1},
        "POST policies/%(name)s/try": {"intent": {"tool": "x", "args": {}}}, f"POST {version}/submit": {},
        "POST schedules": {"name": "newly", "type": parcels.TYPE, "input": parcels.INPUT, "cron": "0 3 * * *"},
        "POST stops": {"scope": "tool", "name": "x", **why}, "POST tools/%(name)s/circuit": {"state": "open"},
        "POST tools/forms/%(form_id)s": {"verdict": "accept"},
        "POST tools/servers": {"name": "newly", "url": "https://8.8.8.8/mcp"},
        "POST webhooks": {"name": "new", "url": "https://8.8.8.8/"},
    }  # fmt: skip
    console = {
        "me/delegations/": {"to": "fiona", "days": "3"}, "me/tokens/new/": {"label": "x", "days": "3"},
        f"{uid}/goal/": {"goal": "Less.", **why},
        f"{uid}/decided/%(seq)s/": why, "missions/freeze/": why, "missions/start/%(type)s/": parcels.INPUT,
        "policies/%(name)s/mode/": {"mode": "off", **why}, "policies/-/import/": {"text": "name: new\nrules: []"},
        "queue/%(decision_id)s/comment/": {"text": "Hm."}, "queue/%(decision_id)s/withdraw/": why,
        "queue/%(decision_id)s/delegate/": {"to": "fiona", "days": "3"}, "queue/%(decision_id)s/vote/": vote,
        "queue/%(decision_id)s/look/": {"what": "decision"}, "schedules/%(name)s/act/": {"verb": "run"},
        "stops/": {"scope": "tool", "name": "x", **why}, "tools/forms/%(form_id)s/": {"verdict": "accept"},
        "tools/servers/new/": {"text": "{name: newly, url: 'https://8.8.8.8/mcp'}", "base": "0"},
        "tools/servers/%(name)s/": {"text": "{name: nightly, url: 'https://8.8.4.4/mcp'}", "base": "1"},
        "agents/new/": {"name": "newer", **TYPED}, "agents/of/%(name)s/edit/": TYPED,
        "agents/of/%(name)s/versions/%(number)s/activate/": why, "agents/of/%(name)s/retire/": why,
        "agents/of/%(name)s/roll-back/": {**why, "to": "1"},
    }  # fmt: skip
    told = {f"{verb} api/v1/{template}": body for verb, _, template, body in _split(rest)}
    return told | {f"POST {template}": body for template, body in console.items()}


def _split(rest: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    for key, body in rest.items():
        yield *key.partition(" "), body


class Asker:
    """Asks as one of the cast, and leaves nothing behind."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.bodies = scene, bodies(scene)
        name = settings.SESSION_COOKIE_NAME
        self.sessions = {who: client.cookies[name].value for who, client in scene.consoles.items()}
        self.consoles = {**scene.consoles, STRANGER: Client()}
        self.rests = {**scene.rests, STRANGER: APIClient(raise_request_exception=False)}
        self.bearer = APIClient(raise_request_exception=False)
        for clients in (self.consoles, self.rests | {"bearer": self.bearer}):
            for client in clients.values():
                client.handler = clients[STRANGER].handler  # which takes long to find its static files

    def ask(self, who: str, verb: str, template: str, values: Mapping[str, Any]) -> Any:
        """The answer to somebody of the cast, or to a stranger."""
        key, path = f"{verb} {template}", address(template, values)
        return self._send(self._client(who, path), verb, path + QUERY.get(key, ""), self.bodies.get(key, {}))

    def get(self, who: str, path: str) -> Any:
        """The answer to a GET."""
        return self._send(self._client(who, path), "GET", path, {})

    def post(self, who: str, path: str, body: Any) -> Any:
        """The answer to a POST."""
        return self._send(self._client(who, path), "POST", path, body)

    def bear(self, secret: str, verb: str, template: str, values: Mapping[str, Any]) -> Any:
        """The answer to whoever has this token."""
        self.bearer.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
        key, path = f"{verb} {template}", address(template, values)
        return self._send(self.bearer, verb, path + QUERY.get(key, ""), self.bodies.get(key, {}))

    def _client(self, who: str, path: str) -> Any:
        if is_rest(path.removeprefix("/")):
            return self.rests[who]
        client = self.consoles[who]
        client.cookies = SimpleCookie({settings.SESSION_COOKIE_NAME: self.sessions.get(who, "")})
        return client

    def _send(self, client: Any, verb: str, path: str, body: Any) -> Any:
        options = {"format": "json"} if isinstance(client, APIClient) else {}
        with transaction.atomic():
            sent = client.get(path) if verb == "GET" else getattr(client, verb.lower())(path, body, **options)
            transaction.set_rollback(True)
        return sent


def sign(answer: Any) -> str:
    """The answer in one character."""
    if answer.status_code == 302 and answer["Location"].startswith(LOGIN + "?"):
        return "L"
    if answer.status_code in SIGNS:
        return SIGNS[answer.status_code]
    assert answer.status_code < 400, (answer.status_code, answer.content[:500])
    return "!" if _refused_within(answer) else "+"


def _refused_within(answer: Any) -> bool:
    """Whether the answer, about many things, says of one that the person may not."""
    return answer.get("Content-Type") == "application/json" and b'"code":"not_eligible"' in answer.content


def values_of(scene: Scene, verb: str, template: str) -> dict[str, Any]:
    """The open values of an address, with the version of a policy that the verb is about."""
    in_force, in_review, draft, *_ = scene.taught["number"]
    last = template.rstrip("/").rpartition("/")[2]
    return {**scene.open, "seq": DECIDED, "number": {"submit": draft, "withdraw": in_review}.get(last, in_force)}
