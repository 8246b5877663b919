"""`sandbox.run` and `sandbox.python` in real missions: the workspace, crashes, refusals, and what the rail says."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from approvals.models import Decision
from approvals.policies import document, versions
from missions.authoring import Context, ToolFailed, Verdict
from missions.engine import history
from missions.engine.mailbox import deliver
from missions.errors import SandboxRefused
from missions.governance import EffectClass
from missions.sandbox import driver, launching, report, selftest
from missions.sandbox.capabilities import Capability
from missions.sandbox.driver import NoDriver
from missions.sandbox.jobs import Attempt, Finished
from missions.tools import sandboxed as tools
from missions.tools.registry import get_tool
from missions.tools.spec import ToolCall
from observability import told_by_tools
from tests import live_worker, sandboxed
from tests.corners import begin, define, lose, states

pytestmark = [pytest.mark.django_db(transaction=True), sandboxed.needs_bubblewrap]


@pytest.fixture(autouse=True)
def _elsewhere(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    by = driver.chosen()
    monkeypatch.setattr(driver, "chosen", lambda: by)  # with the supervisor that serves the other tests
    settings.DATA_DIR = tmp_path


async def work(m: Context, request: dict[str, Any]) -> Verdict:
    one = await m.tool("sandbox.run", command="echo one > a.txt; mkdir -p deep; echo x > deep/run; chmod +x deep/run")
    await m.wait_for_signal("go", timeout=3600)
    two = await m.tool("sandbox.python", code="print(open('a.txt').read()); open('b.txt', 'w').write('two')")
    three = await m.tool("sandbox.run", command="ls -1 . deep; cat b.txt; exit 3")
    return Verdict("worked", data={"one": one["exit_code"], "two": two["stdout"], "three": three})


def test_workspace_is_there_again_in_the_next_job_and_after_a_park() -> None:
    run = begin(define("isolated", work))
    with live_worker.worker():
        live_worker.parked(run, "signal:")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    data = run.outcome.data
    assert (data["one"], data["two"]) == (0, "one\n\n"), run.outcome.error
    assert data["three"]["exit_code"] == 3
    assert data["three"]["stdout"] == ".:\na.txt\nb.txt\ndeep\n\ndeep:\nrun\ntwo"
    entries = [entry for entry in history.entries(run.pk) if entry.kind == "outcome"]
    assert len(entries) == 3 and all("workspace" in entry.payload for entry in entries)
    assert not [entry for entry in history.entries(run.pk) if entry.kind == "intent"]  # they read


def test_job_that_a_crash_cut_off_runs_again_from_the_record(tmp_path: Path) -> None:
    """It had written to its workspace: nothing of that is there when it runs again."""

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.tool("sandbox.run", command="echo 1 > count")
        found = await m.tool("sandbox.run", command="echo 2 >> count; cat count; sleep 0.5")
        return Verdict("done", data={"found": found["stdout"]})

    real, lost = launching.run, []

    async def run_and_lose(job: Any) -> Finished:
        finished = await real(job)
        if b"2" in finished.stdout and not lost:
            lost.append(True)
            lose(running)
        return finished

    name = define("isolated-crash", body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "run", run_and_lose)
        with live_worker.worker() as running:
            run = begin(name)
            live_worker.ended(run)
    assert lost and run.outcome.data == {"found": "1\n2\n"}, run.outcome.error


async def online(m: Context, request: dict[str, Any]) -> Verdict:
    done = await m.tool("sandbox.run_online", command="echo sent", reach=["example.org:443"])
    return Verdict("sent", data=done)


def test_online_job_that_a_crash_cut_off_is_never_repeated_but_asked_about() -> None:
    rules = [{"name": "free", "scope": {"tool": "sandbox.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "online", "mode": "enforce", "rules": rules}), activate=True, via="test")
    real, jobs = launching.run, []

    async def run_and_lose(job: Any) -> Finished:
        jobs.append((job, await real(job)))
        lose(running)
        raise RuntimeError("nobody hears what came of it")

    name = define("isolated-online", online)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "run", run_and_lose)
        with live_worker.worker() as running:
            run = begin(name)
            live_worker.parked(run, "decision:")
    ((job, finished),) = jobs
    assert (job.egress, finished.stdout) == (("example.org:443",), b"sent\n")
    assert states(run) == ["in_doubt"] and Decision.objects.get(mission=run).kind == "in_doubt"


async def refused(m: Context, request: dict[str, Any]) -> Verdict:
    try:
        await m.tool("sandbox.run", command="true")
    except ToolFailed as error:
        return Verdict("refused", data={"why": str(error), "code": error.facts["code"]})
    return Verdict("ran")


def test_job_is_refused_where_isolation_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "chosen", lambda: NoDriver("bubblewrap is not installed."))
    monkeypatch.setattr(selftest, "_known", None)
    run = begin(define("isolated-refused", refused))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == "refused"
    assert run.outcome.data["code"] == "sandbox_refused" and "not installed" in run.outcome.data["why"]


async def test_what_may_lack_is_told_and_does_not_refuse(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = report.Report(driver="bubblewrap", missing={"memory": "no control groups"})
    monkeypatch.setattr(selftest, "_known", lacking)
    monkeypatch.setattr(selftest, "_known_since", float("inf"))
    settings.SANDBOX_MAY_LACK = []
    with pytest.raises(SandboxRefused, match="no control groups"):
        await selftest.admit()
    settings.SANDBOX_MAY_LACK = ["memory"]
    assert await selftest.admit() is lacking


def test_classes_of_the_tools() -> None:
    for name in ("sandbox.run", "sandbox.python"):
        spec = get_tool(name)
        assert (spec.effect, spec.untrusted, spec.workspace) == (EffectClass.READ, True, True)
        online = get_tool(f"{name}_online")
        assert (online.effect, online.retry_safety.value, online.untrusted) == (EffectClass.WRITE, "manual", True)


def call(folder: Path, **more: Any) -> ToolCall:
    return ToolCall(deadline=dt.datetime.now(dt.UTC), find_workspace=lambda: folder, **more)


@pytest.mark.parametrize(
    ("agent", "egress", "reach", "code"),
    [
        ("ann", (), ["example.org:443"], "egress_refused"),
        ("ann", ("example.org:443",), ["example.org:443", "evil.example:443"], "egress_refused"),
        ("ann", ("example.org:443",), [], "bad_place"),
        ("", (), ["example.org"], "bad_place"),
    ],
)
async def test_call_reaches_no_more_than_its_agent(
    agent: str, egress: tuple[str, ...], reach: list[str], code: str, tmp_path: Path
) -> None:
    with pytest.raises(ToolFailed) as failed:
        await tools.sandbox_run_online(call(tmp_path, agent=agent, egress=egress), "true", reach)
    assert failed.value.facts["code"] == code


async def test_attempts_are_in_the_result_and_places_are_those_of_the_call(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "for place in ('evil.example:443', 'example.org:443'):\n"
        "    with socket.create_connection(('127.0.0.1', 3128)) as way:\n"
        "        way.sendall(f'CONNECT {place} HTTP/1.1\\r\\n\\r\\n'.encode())\n"
        "        way.recv(1000)\n"
    )
    asked = call(tmp_path, agent="ann", egress=("other.example:443", "EXAMPLE.com.:443"))
    result = await tools.sandbox_python_online(asked, code, ["example.com:443"])
    assert [(one["host"], one["allowed"]) for one in result["egress"]] == [
        ("evil.example", False), ("example.org", False)
    ]  # fmt: skip
    json.dumps(result)


@pytest.mark.parametrize(
    ("command", "seconds", "code"),
    [("true", 0, "bad_seconds"), ("true", 601, "bad_seconds"), ("a\0b", 5, "bad_program")],
)
async def test_what_can_not_run_is_refused(command: str, seconds: int, code: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed) as failed:
        await tools.sandbox_run(call(tmp_path), command, seconds=seconds)
    assert failed.value.facts["code"] == code


async def test_description_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="limit"):
        await tools.sandbox_run(call(tmp_path), "true #" + "x" * 200_000)


def test_what_is_told_of_a_job() -> None:
    attempt = Attempt(host="a.example", port=443, allowed=True, bytes_up=5, bytes_down=7)
    told = tools.told(Finished(code=None, signal=9, stdout=b"\xff\xfe" * 50, stderr=b"caf\xc3\xa9", killed_for="wall",
                               truncated=True, egress=(attempt,), left_out=("x: no plain file",)))  # fmt: skip
    assert told["stderr"] == "café" and "stdout_base64" in told and told["killed_for"] == "wall"
    assert told["egress"][0]["bytes_down"] == 7 and told["left_out"] and told["truncated"]
    assert "egress" not in tools.told(Finished(code=0)) and tools.told(Finished(code=0))["exit_code"] == 0


def test_rail_says_what_was_reached_and_how_it_ended() -> None:
    result = {
        "exit_code": None, "killed_for": "memory", "stdout": "", "stderr": "",
        "egress": [
            {"host": "api.example", "port": 443, "allowed": True, "bytes_up": 2048, "bytes_down": 10_000, "at": ""},
            {"host": "evil.example", "port": 443, "allowed": False, "why": "It is not on the list.", "at": ""},
            {"host": "evil.example", "port": 443, "allowed": False, "why": "It is not on the list.", "at": ""},
        ],
    }  # fmt: skip
    payload = {"tool": "sandbox.run_online", "sentence": "Run it", "effect_class": "write", "state": "done",
               "result": result}  # fmt: skip
    detail = told_by_tools.outcome(payload).detail
    assert "took more memory than it may" in detail
    assert "Reached api.example:443 (2.0 kB sent, 9.8 kB received)" in detail
    assert "Refused: evil.example:443 (2 times)" in detail


def test_report_is_kept_and_is_the_least_of_all_hosts(settings: Any) -> None:
    assert report.current().checked_at is None and set(report.current().missing) == set(Capability)
    whole = frozenset(map(str, Capability))
    report.keep(report.Report(driver="bubblewrap", capabilities=whole))
    assert report.current().capabilities == whole and report.current().driver == "bubblewrap"
    from_elsewhere = {"memory": "no control groups"}
    settings.MISSIONS_HOST = "elsewhere"
    report.keep(report.Report(driver="bubblewrap", capabilities=whole - {"memory"}, missing=from_elsewhere))
    report.keep(report.Report(driver="bubblewrap", capabilities=whole - {"memory"}, missing=from_elsewhere))
    assert report.SandboxCheck.objects.count() == 2
    assert report.current().missing == from_elsewhere  # no worker lives: the latest
