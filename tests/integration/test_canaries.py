"""No secret's value is found anywhere: tools echo planted canaries in every way, and everything is searched."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from approvals import votes
from approvals.models import Decision
from approvals.policies import document, versions
from config.logs import LineFormatter
from missions import egress
from missions.authoring import (
    Context,
    OutcomeUnknown,
    ProbeResult,
    ToolCall,
    ToolFailed,
    TryLater,
    Verdict,
    mission,
    tool,
)
from missions.engine import history
from missions.engine.starting import start
from missions.keeping import archive, bundle, shelf
from missions.models import Mission, Payload, Progress
from missions.secrets import redacting, vault
from missions.testing.clock import Clock
from tests import live_worker
from tests.receivers import receiver
from tests.web.test_get_changes_nothing import ADDRESSES
from tests.web.visits import signed_in

pytestmark = pytest.mark.django_db(transaction=True)
CANARIES = {
    "env": "canary-env-Zq8/+ü\"'", "file": "canary-file-K3y9x", "db": "canary-db-W7?&=%20",
    "header": "canary-header-5t5t",
}  # fmt: skip
FOLDER = Path("/tmp/standfast-canaries")
SECRETS = {"env": "env:CANARY_ENV", "file": f"file:{FOLDER}/canary.txt", "db": "db:canary"}
log = logging.getLogger("canaries")


def forms(value: str) -> set[str]:
    """How a value may be found: as it is, in JSON, in a URL, in base64, in hexadecimal."""
    raw = value.encode()
    return {
        value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value), raw.hex(), base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(), repr(value)[1:-1], html.escape(value), repr(raw)[2:-1],
    }  # fmt: skip


# However often something is escaped, it is the same without backslashes.
FORMS = {form.replace("\\", "") for value in CANARIES.values() for form in forms(value)}


def echo(call: ToolCall) -> dict[str, Any]:
    """All secrets in all forms, as values and as keys."""
    values = dict(call.secrets)
    return {
        "plain": values, "text": " ".join(values.values()), "encoded": [sorted(forms(v)) for v in values.values()],
        "keys": dict.fromkeys(values.values(), 1), "header": f"Basic {values['env']}",
    }  # fmt: skip


async def found(call: ToolCall, how: str, **more: Any) -> ProbeResult:
    return ProbeResult(found=True, result=echo(call), reference=call.secrets["db"], detail=call.secrets["env"])


asked: list[str] = []
beats: list[str] = []


def echoed(call: ToolCall, how: str) -> Any:
    """Echo them the way that is asked for; what ends a call for now does so the first time."""
    said, first = json.dumps(echo(call), ensure_ascii=False), how not in asked
    asked.append(how)
    log.warning("It says %s", said, extra={"action": "echoed", "secret": call.secrets["db"]})
    if how == "log-traceback":
        try:
            raise RuntimeError(said)
        except RuntimeError:
            log.exception("It broke")
    elif how == "later" and first:
        raise TryLater(said, retry_after_seconds=0.01)
    elif how == "failed":
        raise ToolFailed(said, code=call.secrets["file"])
    elif how == "unknown":
        raise OutcomeUnknown(said)
    elif how == "broken":
        raise ValueError(f"{call.secrets}", said)
    elif how == "long":
        raise ToolFailed("x" * 480 + said)
    elif how == "large":
        return {"pad": "y" * 200_000, **echo(call)}
    elif how == "object":
        return {"a": [call.secrets["env"], object()]}
    return echo(call)


@tool(name="canary.write", effect="write", retry_safety="verifiable", probe=found, secrets=SECRETS, timeout=0.5)
def canary_write(call: ToolCall, how: str, more: Any = None) -> Any:
    """Echo"""
    call.heartbeat(echo(call), {"cursor": call.secrets["env"]})
    for row in Progress.objects.values_list("cursor", "progress"):  # gone when the call ends
        beats.extend(bytes(part).decode() for part in row if part)
    return echoed(call, how)


@tool(name="canary.read", secrets=SECRETS)
async def canary_read(call: ToolCall, how: str) -> Any:
    """Echo"""
    call.heartbeat(echo(call), [call.secrets["file"]])
    return echoed(call, how)


WAYS = ("result", "later", "failed", "long", "large", "object", "log-traceback")


@mission("test.canaries", title="Canaries")
async def canaries(m: Context, given: dict[str, Any]) -> Verdict:
    """Every way of each tool; then with secrets in arguments, as an author may who finds them elsewhere."""
    got: list[Any] = []
    for name in ("canary.read", "canary.write"):
        for how in (*WAYS, *(("unknown", "broken") if name == "canary.write" else ())):
            try:
                got.append(await m.tool(name, how=how))
            except Exception as error:
                got.append(f"{type(error).__name__} {error} {vars(error)}")
    got.append(await m.tool("http.get", url=given["url"]))
    got.append(await m.tool("canary.write", how="asked", more=[CANARIES["env"], {CANARIES["db"]: 1}]))
    await m.observe(f"It got {got}"[:400])
    return Verdict("done", str(got)[:900], {"got": got})


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[str]:
    """Canaries in each place, and a server that sends back the headers that it gets; its URL."""
    asked.clear()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "canary.txt").write_text(CANARIES["file"])
    monkeypatch.setenv("CANARY_ENV", CANARIES["env"])
    monkeypatch.setenv("CANARY_HEADER", CANARIES["header"])
    vault.put("canary", CANARIES["db"], by="a test")
    with receiver() as running:
        settings.HTTP_TOOL_HOSTS = egress.parse([f"127.0.0.1:{running.port};private;X-Key=${{env:CANARY_HEADER}}"])
        yield f"{running.url}/headers"
    redacting.forget()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the log as it is set up says."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    yield out
    logging.getLogger().removeHandler(handler)


def leaks(where: str, text: str) -> list[str]:
    """Where a canary is found."""
    text = text.replace("\\", "")
    return [f"{where}: {form!r} in …{text[max(0, text.find(form) - 60):][:160]}" for form in FORMS if form in text]


def everywhere_in_the_database() -> Iterator[tuple[str, str]]:
    """Every row of every table, bytes as text, and packed ones unpacked."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'select * from "{table}"')
            for row in cursor.fetchall():
                yield table, "\n".join(
                    bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview)
                    else json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
                    for value in row
                )  # fmt: skip


def addresses(made: Mission, decision: Decision) -> Iterator[str]:
    """All that is served about the mission, its entries and its decision, and all lists."""
    seqs = [str(entry.seq) for entry in history.entries(made.pk)]
    for template, names in ADDRESSES.items():
        taught = {"uid": [str(made.uid)], "seq": seqs}
        if set(names) <= taught.keys():
            for seq in seqs if "seq" in names else [""]:
                yield "/" + template % {"uid": made.uid, "seq": seq}
        elif len(names) == 1 and template.startswith(("queue/", "api/v1/decisions/")):
            yield "/" + template % {names[0]: decision.pk}
        elif len(names) == 1 and template.startswith(("tools/", "api/v1/tools/")):
            yield "/" + template % {names[0]: "canary.write"}


def in_answers(person: User, made: Mission, decision: Decision) -> list[str]:
    client, wrong, seen = signed_in(person), [], 0
    for path in addresses(made, decision):
        if "logout" in path:
            continue
        response = client.get(path)
        body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
        seen += response.status_code == 200
        wrong += leaks(path, body.decode("utf-8", "replace"))
    assert seen > 30
    return wrong


def in_bundle(made: Mission) -> list[str]:
    archived = archive.archive(made.pk)
    with shelf.opened(bytes(archived.digest), archived.location) as content:
        parts = [json.dumps(row, ensure_ascii=False) for _, row in bundle.read(content)]
    assert len(parts) > 50
    return [leak for part in parts for leak in leaks("the archive", part)]


def test_no_canary_is_found_anywhere(planted: str, lines: io.StringIO, olivia: User, sam: User, clock: Clock) -> None:
    rules: list[dict[str, Any]] = [
        {"name": "asked", "scope": {"tool": "canary.write"}, "when": "args.how == 'asked'", "effect": "escalate",
         "tiers": [{"group": "supervisors", "quorum": 1}], "reason": "A test."},
        {"name": "free", "scope": {}, "effect": "allow", "reason": "A test."},
    ]  # fmt: skip
    versions.load(document.check({"name": "canaries", "mode": "enforce", "rules": rules}), activate=True, via="test")
    made = start("test.canaries", {"url": planted}, started_by=olivia)[0]
    with live_worker.worker():
        parked = live_worker.parked(made, "decision:")
        decision = Decision.objects.get(mission=parked)
        while_open = [leak for table, row in everywhere_in_the_database() for leak in leaks(table, row)]
        assert while_open == []
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
        ended = live_worker.ended(made)
    assert ended.outcome.verdict == "done", ended.outcome.error
    told = json.dumps(ended.outcome.data)
    assert all(f"[secret {name}]" in told for name in ("CANARY_ENV", "canary.txt", "canary", "CANARY_HEADER"))
    assert Payload.objects.exists() and any("[secret CANARY_ENV]" in beat for beat in beats) and "broken" in asked
    wrong = [leak for table, row in everywhere_in_the_database() for leak in leaks(table, row)]
    wrong += [leak for beat in beats for leak in leaks("a heartbeat", beat)]
    wrong += in_answers(olivia, made, decision) + leaks("the log", lines.getvalue()) + in_bundle(made)
    assert wrong == []
    assert "[secret canary]" in lines.getvalue() and "It broke" in lines.getvalue()


def test_the_search_finds_what_is_there(planted: str) -> None:
    """A canary of which the platform knows nothing lies in a mission's input, and is found in each form."""
    for form in FORMS:
        start("test.canaries", {"url": form})
    seen = {leak.split(" in …")[0] for _, row in everywhere_in_the_database() for leak in leaks("", row)}
    assert len(seen) == len(FORMS)
