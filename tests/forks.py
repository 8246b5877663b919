"""The process behind `tests.forkserver`: imports libraries once, then forks whenever it is asked.

Standard input is the socket on which it is asked: one byte with four files, the asker's socket and the program's
streams. Each fork has a keeper, which tells its exit status. Must import nothing that reads Django's
settings, starts a thread or opens a file, since all of that belongs to the program; what does read them is imported by
`tests.nest`, once for each environment.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import types
from collections.abc import Collection
from typing import Any

# What the worker, the web server, commands and the payment server import most of their time. Not `daphne`: importing
# it makes an event loop.
LIBRARIES = (
    "anyio.streams.tls", "autobahn.websocket.protocol", "cel_expr_python", "certifi", "channels",
    "cryptography", "django.contrib.admin.options", "django.contrib.postgres.fields",
    "django.db.backends.postgresql.base", "django.db.migrations.writer", "django.test", "drf_spectacular",
    "google.protobuf.text_format", "h11", "httpcore2", "httpx2", "inflection", "jsonschema",
    "mcp.client.streamable_http", "multiprocessing.queues", "orjson", "psutil", "psycopg_pool", "pygments.formatters",
    "pygments.lexers", "requests.packages", "truststore", "twisted.internet.asyncioreactor", "twisted.protocols.tls",
    "twisted.web.http", "uritemplate", "uvicorn", "yaml",
)  # fmt: skip
Request = dict[str, Any]


def serve(control: socket.socket, kept: Collection[int] = ()) -> Request:
    """Fork whenever asked. Returns in a fork only: what it is to run. `kept` are files that forks share."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers leave nothing behind
    while True:
        asked, files, _, _ = socket.recv_fds(control, 1, 4)
        if not asked:  # who asks has ended
            sys.exit(0)
        if os.fork() == 0:
            control.close()
            return keep(socket.socket(fileno=files[0]), files[1:], kept)
        for file in files:
            os.close(file)


def keep(line: socket.socket, streams: list[int], kept: Collection[int]) -> Request:
    """Fork the program, which tells its pid, and tell its status in the end. Returns in the program only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with line.makefile("rb") as asked:
        request: Request = json.load(asked)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        line.sendall(b"%d\n" % os.getpid())  # now that there is a group to signal
        line.detach()
        become(streams, request["environment"], kept)
        return request
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        line.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def become(streams: list[int], environment: dict[str, str], kept: Collection[int]) -> None:
    """Have these streams, this environment, and no other open file but those kept."""
    for wanted, stream in enumerate(streams):
        os.dup2(stream, wanted)
    last = 2
    for file in (*sorted(kept), 65_536):
        os.closerange(last + 1, file)
        last = file
    os.environ.clear()
    os.environ.update(environment)


def run(words: list[str]) -> None:
    """Do what `python WORDS` does."""
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # shared with all forks
    run(serve(socket.socket(fileno=0))["words"])
