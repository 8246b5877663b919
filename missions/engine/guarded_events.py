"""What the interpreter tells of connections, processes and files, and which of it guarded code may not do.

One audit hook a process (PEP 578), which can not be taken out again. What C code does without an event of Python's is
caught where Python calls it: Django's connections and psycopg's.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing.process
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg.generators
from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper

from missions.engine import guard, guarded_sources

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
Deed = Callable[[tuple[Any, ...]], str]  # what the arguments of an event mean, in words; empty: it may
workspaces: list[str] = []  # folders below which guarded code may write


def allow_folder(folder: str) -> None:
    """Let guarded code write below this folder."""
    whole = os.path.join(os.path.realpath(folder), "")
    if whole not in workspaces:
        workspaces.append(whole)


def _outside(*paths: Any) -> bool:
    """Whether one of these paths is none that guarded code may change."""
    for path in paths:
        if isinstance(path, int) or path in ("/dev/null", b"/dev/null"):
            continue  # an open file, which somebody was allowed to open
        if not os.path.realpath(os.fsdecode(path)).startswith(tuple(workspaces)):
            return True
    return False


def _opens(args: tuple[Any, ...]) -> str:
    path, mode, flags = args
    writes = any(letter in mode for letter in "wax+") if mode else bool(flags & WRITES)
    return f"write {path!r}" if writes and _outside(path) else ""


def _changes(word: str, paths: int = 1) -> Deed:
    return lambda args: f"{word} {args[0]!r}" if _outside(*args[:paths]) else ""


def _connects(position: int) -> Deed:
    return lambda args: f"connect to {args[position]!r}" if len(args) > position else "connect"


def _starts(args: tuple[Any, ...]) -> str:
    return f"start a process ({args[0]!r})" if args else "start a process"


def _sqlite(args: tuple[Any, ...]) -> str:
    return "" if args[0] == ":memory:" else f"open the database {args[0]!r}"


_FILES: dict[str, Deed] = {
    "open": _opens, "os.remove": _changes("remove"), "os.rename": _changes("rename", 2), "os.rmdir": _changes("remove"),
    "os.mkdir": _changes("create"), "os.symlink": lambda args: _changes("link to")(args[1:]),
    "os.link": lambda args: _changes("link to")(args[1:]), "os.truncate": _changes("truncate"),
    "os.chmod": _changes("change"), "os.chown": _changes("change"), "os.utime": _changes("change"),
    "os.setxattr": _changes("change"), "os.removexattr": _changes("change"),
}
_WORLD: dict[str, Deed] = {
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"), _connects(1)),
    **dict.fromkeys(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"), _connects(0)),
    **dict.fromkeys(("ftplib.connect", "smtplib.connect", "imaplib.open", "poplib.connect"), _connects(1)),
    **dict.fromkeys(("urllib.Request", "webbrowser.open"), _connects(0)), "http.client.connect": _connects(1),
    **dict.fromkeys(("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn"), _starts),
    **dict.fromkeys(("os.fork", "os.forkpty"), lambda args: "fork"),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), lambda args: "send a signal"),
    **dict.fromkeys(("ctypes.dlopen", "ctypes.dlsym"), lambda args: f"call foreign code ({args[-1]!r})"),
    "sqlite3.connect": _sqlite,
}


def _hook(event: str, args: tuple[Any, ...], current: Callable[[], Any] = guard.current) -> None:
    if current() is None:  # bound above: events still come when this module is gone already
        return
    if (deed := _WORLD.get(event)) is not None:
        if words := deed(args):
            guard.refuse(guard.EFFECT, words)
    elif (deed := _FILES.get(event)) is not None and (words := deed(args)):
        guard.refuse(guard.EFFECT, words, guard.FILES)


def _refusing(deed: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse a function to guarded code: what it does raises no event."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def asked(*args: Any, **kwargs: Any) -> Any:
            if guard.current() is not None:
                guard.refuse(guard.EFFECT, deed)
            return function(*args, **kwargs)

        return asked

    return wrap


def _carrying_submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    """What guarded code hands to a pool runs guarded; the pool's threads themselves do not stay so."""

    @functools.wraps(submit)
    def carry(pool: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(pool, guard.carried(function), *args, **kwargs)

    return carry


def _carrying_start(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """A thread that guarded code starts runs guarded, unless it is a pool's."""

    @functools.wraps(start)
    def carry(thread: threading.Thread) -> None:
        if guard.current() is not None and getattr(thread, "_target", None) is not _POOLS_TARGET:
            thread.run = guard.carried(thread.run)  # type: ignore[method-assign]
        start(thread)

    return carry


_POOLS_TARGET = getattr(concurrent.futures.thread, "_worker", None)


def install() -> None:
    """Guard the missions of this process, once and for good, unless MISSIONS_GUARD says otherwise."""
    if settings.MISSIONS_GUARD:
        _install()


@functools.cache
def _install() -> None:
    guarded_sources.install()
    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (DatabaseWrapper, "cursor", _refusing("use the database")),
        (DatabaseWrapper, "chunked_cursor", _refusing("use the database")),
        (multiprocessing.process.BaseProcess, "start", _refusing("start a process")),
        (psycopg.generators, "connect", _refusing("connect to a database")),  # all of psycopg comes by here
        (concurrent.futures.ThreadPoolExecutor, "submit", _carrying_submit),
        (threading.Thread, "start", _carrying_start),
    ]
    for owner, name, wrap in patches:
        setattr(owner, name, wrap(getattr(owner, name)))
    guard.activate()
    sys.addaudithook(_hook)
