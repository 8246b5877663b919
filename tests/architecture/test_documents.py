"""Documents list what the code has, and nothing that it has not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("config", "missions", "approvals", "observability")
NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE", "STANDFAST_CRASH_AT"}  # Django's own; a hook of the tests


def sources() -> Iterator[Path]:
    for layer in LAYERS:
        yield from (ROOT / layer).rglob("*.py")


def documented(document: str) -> set[str]:
    """The names in the first column of a document's tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / document).read_text(), flags=re.M))


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    readers = "text|flag|integer|number|seconds|names|choice|some"
    reading = re.compile(rf"(?:env\.(?:{readers})|os\.environ\.get)\(\s*\"(\w+)\"")
    read = {name for path in sources() for name in reading.findall(path.read_text())} - NOT_SETTINGS
    assert read == documented("settings.md")


def test_every_dependency_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["peers"]]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    assert names == documented("dependencies.md")


def test_lock_files_hold_every_dependency_with_hashes_and_tell_of_no_machine() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, wanted in {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": [*project["dependencies"], *project["optional-dependencies"]["dev"]],
        "requirements-peers.lock": project["optional-dependencies"]["peers"],
    }.items():
        text = (ROOT / lock).read_text()
        locked = set(re.findall(r"^([a-z0-9-]+)==", text, flags=re.M))
        assert {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} <= locked
        assert not re.search(r"file:|index-url|find-links|^/", text, flags=re.M)
        pins = re.findall(r"^[a-z0-9-]+==.*\n(.*)$", text, flags=re.M)
        assert all("--hash=sha256:" in line for line in pins)


def test_links_of_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)} → {target}"
        for document in documents
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_decision_records_fit_a_page_and_are_numbered_without_gaps() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    assert all(len(record.read_text().splitlines()) <= 50 for record in records)
