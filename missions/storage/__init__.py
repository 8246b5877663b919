"""Content that missions keep: artifacts, workspaces, and the collection of what nobody needs any more.

All of it lies in PostgreSQL, by its sha256; a host's disk holds copies only.
"""

from missions.storage.collecting import GRACE, Collected, collect, collect_unreferenced
from missions.storage.local import sweep_local

__all__ = ["GRACE", "Collected", "collect", "collect_unreferenced", "sweep_local"]
