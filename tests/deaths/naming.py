"""Names for every place at which the engine awaits: found in the source, and put into it where it is imported.

`module:function:what is awaited`, with a number from the second of the same on. `async with` counts twice, for its
beginning and its end. Pure but for reading sources; who wants faults there installs `importing`.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a worker runs.
PACKAGES = ("missions.engine", "missions.effects", "missions.control", "missions.context", "missions.agents")
AWAITED, ENTERED, ITERATED = "__deaths_awaited__", "__deaths_entered__", "__deaths_iterated__"
BEGIN, END, LENGTH = "begin", "end", 70
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Namer(ast.NodeTransformer):
    """Wraps what is awaited in a call that knows its name; collects the names."""

    def __init__(self, module: str) -> None:
        self._module, self._scope, self._known = module, list[str](), Counter[str]()
        self.names: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node)

    def _inside(self, node: ast.ClassDef | Function) -> ast.AST:
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        name = self._name(_words(node.value))
        self.names.append(name)
        self.generic_visit(node)
        node.value = _wrapped(AWAITED, name, node.value)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        names = [self._name(f"async with {_words(item.context_expr)}") for item in node.items]
        self.names += [f"{name}:{end}" for name in names for end in (BEGIN, END)]
        self.generic_visit(node)
        for name, item in zip(names, node.items, strict=True):
            item.context_expr = _wrapped(ENTERED, name, item.context_expr)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self._iterated(node)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if node.is_async:
            self._iterated(node)
        else:
            self.generic_visit(node)
        return node

    def _iterated(self, node: ast.AsyncFor | ast.comprehension) -> None:
        name = self._name(f"async for {_words(node.iter)}")
        self.names.append(name)
        self.generic_visit(node)
        node.iter = _wrapped(ITERATED, name, node.iter)

    def _name(self, what: str) -> str:
        name = ":".join((self._module.removeprefix("missions."), ".".join(self._scope), what))
        self._known[name] += 1
        return name if self._known[name] == 1 else f"{name}:{self._known[name]}"


def _words(node: ast.expr) -> str:
    """What is awaited, in short: calls without their arguments."""
    if isinstance(node, ast.Call):
        return _words(node.func)
    if isinstance(node, ast.Attribute):
        return f"{_words(node.value)}.{node.attr}"
    return " ".join(ast.unparse(node).split())[:LENGTH]


def _wrapped(function: str, name: str, value: ast.expr) -> ast.Call:
    made = ast.Call(ast.Name(function, ast.Load()), [ast.Constant(name), value], [])
    return ast.fix_missing_locations(ast.copy_location(made, value))


def named(module: str, source: bytes | str) -> tuple[ast.Module, list[str]]:
    """The module with names at its awaits, and the names."""
    namer = Namer(module)
    tree = namer.visit(ast.parse(source))
    return tree, namer.names


def modules() -> Iterator[tuple[str, Path]]:
    """The modules that are named, and where their source lies."""
    for package in PACKAGES:
        folder = ROOT / package.replace(".", "/")
        for path in sorted(folder.rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


@functools.cache
def every() -> tuple[str, ...]:
    """All names, as the source has them now."""
    return tuple(name for module, path in modules() for name in named(module, path.read_text())[1])


@functools.cache
def functions() -> frozenset[str]:
    """The coroutine functions of these packages, by their own name: what they raise is raised further in."""
    trees = (ast.parse(path.read_text()) for _, path in modules())
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef))
