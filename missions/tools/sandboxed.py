"""The tools that run programs in isolation: a command or a piece of Python, in the mission's own workspace.

What class they are of, and why. A job without a network changes nothing but the workspace, and a workspace exists only
as what the entry that ends the call records: of a call that a crash cut off nothing is left, and calling again starts
from the same record. So `sandbox.run` and `sandbox.python` *read*: no intent, no doubt, no person is asked after a
crash. A job that may reach a place outside can change the world there, by means that nobody here knows: so
`sandbox.run_online` and `sandbox.python_online` are *writes*, and *manual*: after a crash a person says what happened.

An agent's jobs reach what its version lists, and of that what the call names; what the call names for a mission's own
code is its author's word, under the eyes of policy. What a job answers is never trusted.
"""

from __future__ import annotations

import base64
from typing import Any

from missions.engine import crashpoints
from missions.errors import SandboxRefused, ToolFailed, WorkspaceRefused
from missions.sandbox import driver, launching
from missions.sandbox.egress import place_of
from missions.sandbox.jobs import Finished, Job
from missions.tools.registry import tool
from missions.tools.spec import ToolCall

SECONDS, SECONDS_MOST = 60, 600
TIMEOUT = SECONDS_MOST + 120.0  # the wait for a place among the others, and the copies, take their time too


@tool(
    name="sandbox.run", title="Run a command", sentence="Run in isolation: {command}", workspace=True, untrusted=True,
    timeout=TIMEOUT,
)  # fmt: skip
async def sandbox_run(call: ToolCall, command: str, stdin: str = "", seconds: int = SECONDS) -> dict[str, Any]:
    """Run a shell command in isolation, without a network. /workspace is the mission's own folder, and is kept."""
    return await _run(call, _shell(command), stdin, seconds, ())


@tool(
    name="sandbox.python", title="Run Python", sentence="Run Python in isolation", workspace=True, untrusted=True,
    timeout=TIMEOUT,
)  # fmt: skip
async def sandbox_python(call: ToolCall, code: str, stdin: str = "", seconds: int = SECONDS) -> dict[str, Any]:
    """Run Python code in isolation, without a network. /workspace is the mission's own folder, and is kept."""
    return await _run(call, _python(code), stdin, seconds, ())


@tool(
    name="sandbox.run_online", effect="write", retry_safety="manual", title="Run a command that may go online",
    sentence="Run in isolation, with access to {reach}: {command}", workspace=True, untrusted=True, timeout=TIMEOUT,
)  # fmt: skip
async def sandbox_run_online(
    call: ToolCall, command: str, reach: list[str], stdin: str = "", seconds: int = SECONDS
) -> dict[str, Any]:
    """Run a shell command in isolation that may reach the places in `reach`, each as "host:port", over https."""
    return await _run(call, _shell(command), stdin, seconds, _reachable(call, reach))


@tool(
    name="sandbox.python_online", effect="write", retry_safety="manual", title="Run Python that may go online",
    sentence="Run Python in isolation, with access to {reach}", workspace=True, untrusted=True, timeout=TIMEOUT,
)  # fmt: skip
async def sandbox_python_online(
    call: ToolCall, code: str, reach: list[str], stdin: str = "", seconds: int = SECONDS
) -> dict[str, Any]:
    """Run Python code in isolation that may reach the places in `reach`, each as "host:port", over https."""
    return await _run(call, _python(code), stdin, seconds, _reachable(call, reach))


Program = tuple[tuple[str, ...], tuple[str, ...]]  # what to run, and the folders that it needs


def _shell(command: str) -> Program:
    return ("/bin/sh", "-c", command), ()


def _python(code: str) -> Program:
    python, readable = driver.interpreter()
    return (python, "-c", code), readable


def _reachable(call: ToolCall, reach: list[str]) -> tuple[str, ...]:
    """The places that this call may reach. Raises ToolFailed where it asks for more than its agent has."""
    try:
        wanted = {place_of(place): place for place in reach}
        allowed = {place_of(place) for place in call.egress}
    except ValueError as error:
        raise ToolFailed(str(error), code="bad_place") from error
    beyond = sorted(place for known, place in wanted.items() if call.agent and known not in allowed)
    if beyond:
        raise ToolFailed(f"{call.agent} may not reach {', '.join(beyond)}.", code="egress_refused")
    if not wanted:
        raise ToolFailed("It names no place to reach; without one, use the tool without _online.", code="bad_place")
    return tuple(wanted.values())


async def _run(call: ToolCall, program: Program, stdin: str, seconds: int, egress: tuple[str, ...]) -> dict[str, Any]:
    """Raises ToolFailed for what was refused before anything ran."""
    if not 0 < seconds <= SECONDS_MOST:
        raise ToolFailed(f"`seconds` wants 1 to {SECONDS_MOST}.", code="bad_seconds")
    argv, readable = program
    if any("\x00" in word for word in argv):
        raise ToolFailed("A program can hold no NUL.", code="bad_program")
    job = Job(
        argv=argv, readable=readable, workspace=call.workspace, egress=egress, stdin=stdin.encode("utf-8", "replace"),
        wall_seconds=float(seconds), cpu_seconds=float(seconds),
    )  # fmt: skip
    try:
        finished = await launching.run(job)
    except (SandboxRefused, WorkspaceRefused) as error:
        raise ToolFailed(str(error), code=error.code) from error
    crashpoints.reach("call_answered")
    return told(finished)


def told(finished: Finished) -> dict[str, Any]:
    """What the mission is told, and the journal keeps. Raises nothing: bytes that are no text go as base64."""
    result: dict[str, Any] = {"exit_code": finished.code, "seconds": round(finished.took_seconds, 3)}
    result |= _stream("stdout", finished.stdout) | _stream("stderr", finished.stderr)
    optional = {
        "signal": finished.signal, "killed_for": finished.killed_for, "truncated": finished.truncated,
        "egress": [attempt.as_json() for attempt in finished.egress], "left_out": list(finished.left_out),
    }  # fmt: skip
    return result | {name: value for name, value in optional.items() if value}


def _stream(name: str, content: bytes) -> dict[str, str]:
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
        if text.count("�") * 10 < len(text):
            return {name: text}
        return {f"{name}_base64": base64.b64encode(content).decode()}
