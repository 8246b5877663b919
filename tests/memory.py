"""How much memory something takes at most, as the kernel counts it for this process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024


class Peak:
    """What the process grew by at its largest."""

    grown = 0  # bytes, once the block has ended


@contextlib.contextmanager
def peak() -> Iterator[Peak]:
    """Watch the block."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    found, before = Peak(), _status("VmRSS")
    yield found
    found.grown = max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
