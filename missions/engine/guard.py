"""The guard: what a mission's body and its plain steps may not do by themselves.

They may not connect, start processes, change files, or read clock and randomness; tools do that, so that every effect
is ruled on and recorded. `Guarding` marks the author's code while it runs; `durable` calls, tools, the gate and the
engine run outside it (`free`). An audit hook and some wrapped functions (`guarded_events`, `guarded_sources`) ask
`current` and refuse; `inspection` finds in the source what raises no event. Threads that guarded code starts are
guarded like it. A violation can not be swallowed: leaving the scope raises it again.

It keeps honest code honest and is no sandbox: docs/author-guide.md says what it can not see. Must not cost a free call
more than a look at a context variable.
"""

from __future__ import annotations

import contextvars
import logging
import logging.handlers
import sys
import types
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from missions.engine import authored, inspection
from missions.errors import Guarded

BODY, STEP = "A mission's body", "A plain step"
EFFECT, CLOCK, STOPWATCH, RANDOMNESS = "effect", "clock", "stopwatch", "randomness"  # kinds of violations
ORDER = "order"  # lets time decide what comes first: no violation, crash tests report it
WAYS = {
    EFFECT: "Reach the world through a tool: m.tool(…).",
    CLOCK: "Take the time from the record: m.now().",
    STOPWATCH: "Take the time from the record, m.now(), or measure inside a step.",
    RANDOMNESS: "Take it from the mission's seed: m.uuid() or m.random().",
}
FILES = "A tool writes files, in call.workspace."
# What runs while a module is imported is free, as it would be at the start of the worker; and so is logging.
IMPORTING, LOGGING = "<frozen importlib._bootstrap", (logging.__file__, logging.handlers.__file__)
watchers: list[Callable[[Guarded], None]] = []  # told of each violation; crash tests listen here
_scope: contextvars.ContextVar[Guarding | None] = contextvars.ContextVar("standfast_guard", default=None)
current = _scope.get
_state = {"active": False}
CLEAN = "standfast_inspected"  # on a function in which nothing was found: its code need not be looked at again


class Guarding:
    """A stretch of the author's code: `with Guarding(STEP, function): …`. Raises Guarded at the latest when left."""

    __slots__ = ("_token", "function", "violation", "word")

    def __init__(self, word: str, function: Callable[..., Any]) -> None:
        self.word, self.function = word, function
        self.violation: Guarded | None = None

    def __enter__(self) -> None:
        if getattr(self.function, CLEAN, "") != self.word and _state["active"]:
            self._inspect()
        self._token = _scope.set(self)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            _scope.reset(self._token)
        except ValueError:  # as in `restore`
            return
        if self.violation is not None and error is not self.violation and isinstance(error, Exception | None):
            raise self.violation

    def _inspect(self) -> None:
        read = next((one for one in inspection.findings(self.function) if self.forbids(one.kind)), None)
        if read is not None:
            raise told(self, read.kind, f"read {read.name}()", read.file, read.line)
        if isinstance(self.function, types.FunctionType):
            setattr(self.function, CLEAN, self.word)

    def forbids(self, kind: str) -> bool:
        """A step may measure itself; what it measures is recorded once."""
        return kind != ORDER and (kind != STOPWATCH or self.word == BODY)


def free() -> contextvars.Token[Guarding | None]:
    """The engine's own code begins; end it with `restore`."""
    return _scope.set(None)


def restore(token: contextvars.Token[Guarding | None]) -> None:
    """Back to what was before."""
    try:
        _scope.reset(token)
    except ValueError:  # a coroutine that the collector closes, in a context where nothing of this was ever set
        return


async def under(scope: Guarding | None, call: Awaitable[Any]) -> Any:
    """Await a call of the author's in a branch of the mission whose body this scope is; None where there is none."""
    token = _scope.set(scope)
    try:
        return await call
    finally:
        restore(token)


def inside(scope: Guarding, function: Callable[[], Any]) -> Callable[[], Any]:
    """The function, to be run in a thread under this scope."""

    def run() -> Any:
        with scope:
            return function()

    return run


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, to be run in another thread under the scope of here, if there is one."""
    scope = current()
    if scope is None:
        return function

    def run(*args: Any, **kwargs: Any) -> Any:
        token = _scope.set(scope)
        try:
            return function(*args, **kwargs)
        finally:
            restore(token)

    return run


def activate() -> None:
    """From now on scopes count; `missions.engine.guarded_events.install` calls this once its hooks are in place."""
    _state["active"] = True


# -- Refusing ----------------------------------------------------------------------------------------------------------


def refuse(kind: str, deed: str, way: str = "") -> None:
    """Raise Guarded for what the code of here is about to do, unless it is free to. Called from hooks only."""
    scope = current()
    if scope is None or not _state["active"] or not scope.forbids(kind):
        return
    frames = list(_frames(scope))
    files = [frame.f_code.co_filename for frame in frames]
    if any(file in LOGGING or file.startswith(IMPORTING) for file in files):
        return
    frame = next((frame for frame in frames if authored.is_authors(frame)), None)
    file, line = (frame.f_code.co_filename, frame.f_lineno) if frame else inspection.place_of(scope.function)
    raise told(scope, kind, deed, file, line, way)


def refuse_reading(kind: str, name: str, caller: types.FrameType) -> None:
    """The same for a clock or a source of randomness: only where the author's own code reads it."""
    if authored.is_authors(caller):
        refuse(kind, f"read {name}()")


def told(scope: Guarding, kind: str, deed: str, file: str, line: int, way: str = "") -> Guarded:
    """The violation, noted in its scope."""
    error = Guarded(
        f"{file}:{line}: {scope.word} may not {deed}. {way or WAYS[kind]}", kind=kind, file=file, line=line
    )
    if scope.violation is None:
        scope.violation = error
    for watcher in watchers:
        watcher(error)
    return error


def _frames(scope: Guarding) -> Iterator[types.FrameType]:
    """From the innermost frame that is not ours to the guarded function's own."""
    frame: types.FrameType | None = sys._getframe(2)
    code = getattr(scope.function, "__code__", None)
    while frame is not None:
        yield frame
        if frame.f_code is code:
            return
        frame = frame.f_back
