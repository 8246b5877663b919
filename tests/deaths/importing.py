"""Imports the engine with names at its awaits. Install it in a fresh process, before the engine is there."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

from tests.deaths import faults, naming


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles from the source each time: a module with names never gets into the cache of byte code."""

    def get_code(self, fullname: str) -> CodeType | None:
        tree, _ = naming.named(fullname, self.get_data(self.path))
        return compile(tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        found = {
            naming.AWAITED: faults.awaited, naming.ENTERED: faults.Entered, naming.ITERATED: faults.iterated,
        }
        vars(module).update(found)
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the named packages."""

    def __init__(self) -> None:
        self._paths = {name: str(path) for name, path in naming.modules()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if (place := self._paths.get(fullname)) is None:
            return None
        return importlib.util.spec_from_file_location(fullname, place, loader=Loader(fullname, place))


def install() -> None:
    """From now on. Raises RuntimeError where it comes too late."""
    late = [name for name in sys.modules if name.startswith(naming.PACKAGES)]
    if late:
        raise RuntimeError(f"imported already: {late}")
    sys.meta_path.insert(0, Finder())
