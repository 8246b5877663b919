"""The layers and the engine's SQL."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "missions" / "engine" / "sql"


def test_imports_point_one_way() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_statement_is_used_and_says_why() -> None:
    quoted = set(re.findall(r"\"(\w+)\"", "\n".join(path.read_text() for path in (ROOT / "missions").rglob("*.py"))))
    statements = {path.stem: path.read_text() for path in SQL.glob("*.sql")}
    assert not set(statements) - quoted
    assert not [name for name, text in statements.items() if not text.startswith("-- ")]


def test_migrations_with_raw_sql_go_both_ways() -> None:
    for folder in ROOT.glob("*/migrations/sql"):
        ups = {path.name.removesuffix(".up.sql") for path in folder.glob("*.up.sql")}
        downs = {path.name.removesuffix(".down.sql") for path in folder.glob("*.down.sql")}
        assert ups == downs


def test_nothing_is_notified_inside_the_lane() -> None:
    """A notification in the lane's transaction would take a lock over the whole database at each commit."""
    lane = (ROOT / "missions" / "engine" / "lane.py").read_text()
    assert not re.search(r"pg_notify|statement\(\"notify\"\)", lane)


def test_every_module_says_what_it_owns() -> None:
    layers = ("config", "missions", "approvals", "observability")
    modules = [path for layer in layers for path in (ROOT / layer).rglob("*.py") if "migrations" not in path.parts]
    silent = [path for path in modules if (text := path.read_text().strip()) and not re.match(r'(#!.*\n)?r?"""', text)]
    assert not silent
