"""What a supervisor found where it runs, and what it could not get: bubblewrap, libseccomp, control groups, mounts.

Says for each capability that is missing why, and how to mend it. Imports nothing of Django.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from missions.sandbox import cgroups, places
from missions.sandbox.cgroups import Tree
from missions.sandbox.confining import Measures
from missions.sandbox.places import Area

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
NO_BWRAP = "bubblewrap is not installed. On Debian and Ubuntu: apt install bubblewrap."
NO_SECCOMP = "libseccomp can not be used ({}). On Debian and Ubuntu: apt install libseccomp2."
NO_GROUPS = (
    "{}. Run the supervisor as root, or under systemd with `Delegate=memory pids cpu` (deploy/systemd); a container "
    "needs a control group that it may write."
)
NO_MOUNTS = (
    "A mount namespace is not to be had ({}). Run the supervisor as root, or open user namespaces: sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0, kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0."
)


@dataclass(slots=True)
class Surroundings:
    """All that a job needs from its host."""

    bwrap: str
    filter: bytes
    tree: Tree
    area: Area | None
    measures: Measures
    missing: dict[str, str]

    @staticmethod
    def owner(folder: Path) -> str:
        """The word in the names of the control groups by which a supervisor knows those of its own folder."""
        return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]

    @classmethod
    def found(cls, folder: Path, measures: Measures, remembered: Path) -> Surroundings:
        """Look around, once, before the first job; takes namespaces of our own and sweeps what a dead one left."""
        missing: dict[str, str] = {}
        tree, ungrouped = cgroups.find(cls.owner(folder))
        tree.sweep()
        for control in ("memory", "pids"):
            if control in ungrouped:
                missing[control] = NO_GROUPS.format(ungrouped[control])
        area = _area(remembered, measures, missing)
        program = _filter(missing)
        return cls(shutil.which("bwrap", path=SEARCHED) or "", program, tree, area, measures, missing)

    def told(self) -> dict[str, str]:
        """What is missing now; bubblewrap may have been installed meanwhile."""
        self.bwrap = self.bwrap or shutil.which("bwrap", path=SEARCHED) or ""
        return self.missing if self.bwrap else {**self.missing, "filesystem": NO_BWRAP, "network": NO_BWRAP}

    def close(self) -> None:
        """Take our own mounts away."""
        if self.area is not None:
            self.area.close()


def _area(remembered: Path, measures: Measures, missing: dict[str, str]) -> Area | None:
    try:
        return places.enter(remembered, drop=measures.drop)
    except (OSError, RuntimeError) as error:
        missing["disk"] = NO_MOUNTS.format(error)
        return None


def _filter(missing: dict[str, str]) -> bytes:
    try:
        program: bytes = importlib.import_module("missions.sandbox.seccomp").program()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # pyseccomp fails as it is imported
        missing["syscalls"] = NO_SECCOMP.format(error)
        return b""
    return program
