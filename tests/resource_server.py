"""An MCP server whose resources change: a process for tests, and what they say to it.

Its resources are the files of a folder, as `state://NAME`, so that they outlive it. It speaks both revisions of the
protocol, or with `--legacy` the older one alone; `--mute` tells nobody of changes.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path

from tests.forkserver import Program


class ResourceServer:
    """The process, over a folder; it keeps its port over restarts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options, self.port = folder, options, 0
        self.process: Program
        self.start()

    def start(self) -> None:
        """Returns when it listens."""
        self.folder.mkdir(exist_ok=True)
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        words = ["-m", "tests.resource_process", "--port", str(self.port), "--folder", str(self.folder), *self.options]
        output, theirs = os.pipe()
        self._output = os.fdopen(output)
        self.process = Program(words, os.environ, out=theirs, err=theirs)
        os.close(theirs)
        said = ""
        while "Uvicorn running" not in said:
            line = self._output.readline()
            assert line, said
            said += line

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def kill(self) -> None:
        """End it without a farewell."""
        self.process.send_signal(9)
        self.process.wait(10)
        self._output.close()

    def write(self, name: str, text: str) -> None:
        """Change a resource; nobody is told."""
        coming = self.folder.parent / f".{name}"
        coming.write_text(text)
        coming.replace(self.folder / name)  # whoever reads meanwhile reads the one or the other

    def announce(self, name: str) -> None:
        """Have the server tell that it changed."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/announce/{name}", timeout=10).close()

    def listeners(self) -> int:
        """How many subscriptions it has."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/listeners", timeout=10) as answer:
            return int(answer.read())
