"""References lead to values and nothing else; what rests in the database is encrypted; the command shows no value."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from missions.errors import InvalidInput, SecretMissing
from missions.models import Secret
from missions.secrets import redacting, references, vault

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    redacting.forget()
    yield
    redacting.forget()


def test_each_kind_of_reference_is_resolved_and_redacted_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.txt").write_text("from-a-file\n")
    monkeypatch.setenv("A_KEY", "from-the-environment")
    vault.put("crm", "from-the-database\r\n", by="me")
    wanted = {"a": "env:A_KEY", "b": f"file:{tmp_path}/key.txt", "c": "db:crm"}
    assert references.resolve_all(wanted) == {
        "a": "from-the-environment", "b": "from-a-file", "c": "from-the-database",
    }  # fmt: skip
    assert redacting.redact("from-the-environment from-a-file from-the-database") == (
        "[secret A_KEY] [secret key.txt] [secret crm]"
    )


def test_references_inside_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "from-the-environment")
    text = "Bearer ${env:A_KEY}, ${NOT_ONE}"
    assert references.listed(text) == ("env:A_KEY",)
    assert references.fill(text) == "Bearer from-the-environment, ${NOT_ONE}"


@pytest.mark.parametrize(
    "reference",
    [
        "plain", "env:", "env:NOT_SET_ANYWHERE", "env:A B", "file:relative", "file:/not/there", "file:/", "db:",
        "db:../x", "db:absent", "http://x", "env:SHORT", "env:EMPTY", "env:A_KEY\n",
    ],
)  # fmt: skip
def test_what_leads_nowhere_names_the_reference(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "five5")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("A_KEY", "value-value")
    with pytest.raises(SecretMissing) as caught:
        references.resolve(reference)
    assert caught.value.facts["reference"] == reference and repr(reference) in str(caught.value)
    assert "five5" not in str(caught.value)


def test_a_file_that_is_huge_or_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 8)
    for name in ("huge", "binary"):
        with pytest.raises(SecretMissing):
            references.resolve(f"file:{tmp_path}/{name}")


def test_what_rests_is_encrypted_and_follows_the_secret_key(settings: Any) -> None:
    vault.put("crm", "resting-value", by="me")
    first = Secret.objects.get()
    assert "resting" not in first.ciphertext
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []
    with pytest.raises(SecretMissing, match="another SECRET_KEY"):
        references.resolve("db:crm")
    assert vault.reseal() == (0, ["crm"])
    settings.SECRET_KEY_FALLBACKS = [old]
    assert references.resolve("db:crm") == "resting-value"
    assert vault.reseal() == (1, [])
    settings.SECRET_KEY_FALLBACKS = []
    assert references.resolve("db:crm") == "resting-value"


def test_rows_that_were_swapped_are_refused() -> None:
    vault.put("mine", "the-value-of-mine", by="me")
    vault.put("yours", "the-value-of-yours", by="me")
    Secret.objects.filter(name="mine").update(ciphertext=Secret.objects.get(name="yours").ciphertext)
    with pytest.raises(SecretMissing, match="not its own"):
        references.resolve("db:mine")


@pytest.mark.parametrize(("name", "value"), [("a b", "x" * 9), ("a", "12345"), ("a", "x" * 70_000), ("a", "x\0" * 9)])
def test_what_can_not_be_kept_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        vault.put(name, value, by="me")
    assert value not in str(caught.value.errors) and not Secret.objects.exists()


def run(monkeypatch: pytest.MonkeyPatch, *words: str, given: str = "") -> str:
    out: Any = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    call_command("secret", *words, stdout=out)
    return str(out.getvalue())


def test_the_command_sets_replaces_lists_and_deletes_and_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "list") == "No secrets.\n"
    assert run(monkeypatch, "set", "crm", given="first-value\n") == "Set.\n"
    assert run(monkeypatch, "set", "crm", given="second-value\n") == "Replaced.\n"
    listed = run(monkeypatch, "list")
    assert "crm" in listed and "command line: " in listed and "value" not in listed
    assert references.resolve("db:crm") == "second-value"
    assert run(monkeypatch, "reseal") == "1 resealed.\n"
    assert run(monkeypatch, "delete", "crm") == "Deleted.\n"
    with pytest.raises(CommandError):
        run(monkeypatch, "delete", "crm")
    with pytest.raises(CommandError) as caught:
        run(monkeypatch, "set", "crm", given="tiny")
    assert caught.value.returncode == 2 and "tiny" not in str(caught.value)
