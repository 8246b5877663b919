"""LLM_PROVIDERS, LLM_CHAIN and LLM_PRICES become providers, chains and prices, or stop start-up by name."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from config import env, llms
from missions.llm import prices, providers
from missions.llm.prices import Price, Tokens

MILLION = Tokens(input=1_000_000, output=1_000_000)


def test_addresses_of_providers() -> None:
    found = llms.known(
        "local=openai+http://127.0.0.1:8080/v1/, claude=anthropic?key=env:KEY,"
        "gpt=openai?key=file:/run/key&seconds=30&bytes=65536&prices=openai, gw=anthropic+https://gw.example/a"
    )
    assert list(found) == ["local", "claude", "gpt", "gw"]
    local, claude, gpt, gateway = found.values()
    assert (local.api, local.base_url, local.key) == ("openai", "http://127.0.0.1:8080/v1", "")
    assert (claude.api, claude.base_url, claude.key) == ("anthropic", "https://api.anthropic.com", "env:KEY")
    assert (gpt.base_url, gpt.seconds, gpt.bytes, gpt.prices) == ("https://api.openai.com/v1", 30.0, 65536, "openai")
    assert (gateway.api, gateway.base_url) == ("anthropic", "https://gw.example/a")
    assert llms.known("") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("local", "NAME=openai+https"),
        ("LOCAL=openai", "small letters"),
        ("a=openai,a=anthropic", "stands twice"),
        ("a=gemini+https://x", "openai or anthropic"),
        ("a=openai+ftp://x", "http or https"),
        ("a=openai+https:///v1", "http or https"),
        ("a=openai+https://me:s3cret@x/v1", "no user or password"),
        ("a=openai?key=sk-s3cret", "never the key"),
        ("a=openai?colour=red", "'colour' is none"),
        ("a=openai?seconds=never", "seconds of 'a'"),
        ("a=openai?bytes=nan", "bytes of 'a'"),
        ("a=openai?connections=0", "connections of 'a'"),
    ],
)
def test_wrong_providers_stop_start_up_without_telling_a_key(text: str, told: str) -> None:
    with pytest.raises(env.SettingError) as stopped:
        llms.known(text)
    assert "LLM_PROVIDERS" in str(stopped.value) and told in str(stopped.value)
    assert "s3cret" not in str(stopped.value)


def test_members_of_a_chain_are_of_known_providers() -> None:
    known = llms.known("local=openai+http://127.0.0.1/v1")
    assert llms.chain(["local/a", "local/org/b:7b"], known) == ("local/a", "local/org/b:7b")
    for member, told in (("local", "is not one"), ("local/", "is not one"), ("other/x", "none of ['local']")):
        with pytest.raises(env.SettingError, match="LLM_CHAIN") as stopped:
            llms.chain([member], known)
        assert told in str(stopped.value)


def test_prices_of_ones_own_come_first_and_globs_after_names() -> None:
    table = llms.priced("{'a/*': {input: 1, output: 2}, a/big: {input: '0.1', output: 3, cached: 0.01, currency: EUR}}")
    provider = providers.parse("a=openai")["a"]
    assert prices.of("a/big", table) == Price(
        input=Decimal("0.1"), output=Decimal(3), cached=Decimal("0.01"), currency="EUR"
    )
    small = prices.cost(MILLION, provider, "small", table)
    assert (small.amount, small.currency, small.priced) == (Decimal(3), "USD", True)
    half = prices.cost(Tokens(input=1_000_000, cached=500_000, output=1), provider, "big", table)
    assert (half.amount, half.currency) == (Decimal("0.055003"), "EUR")


def test_prices_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("local/qwen3: {input: 0, output: 0}\n")
    assert llms.priced(str(file))["local/qwen3"].output == 0


@pytest.mark.parametrize(
    "text",
    [
        "/nowhere/prices.yaml", "{", "[]", "{a: 1}", "{a: {input: 1, output: 2}}", "{a/b: {input: 1}}",
        "{a/b: {input: 1, output: -2}}", "{a/b: {input: 1, output: .nan}}", "{a/b: {input: yes, output: 1}}",
        "{a/b: {input: 1, output: 2, currency: euro}}", "{a/b: {input: 1, output: 2, per: 1000}}",
    ],
)  # fmt: skip
def test_wrong_prices_stop_start_up(text: str) -> None:
    with pytest.raises(env.SettingError, match="LLM_PRICES"):
        llms.priced(text)


def test_public_prices_are_found_by_address_and_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def reach(*_: object, **__: object) -> None:
        raise AssertionError("a price was asked for over the network")

    monkeypatch.setattr("socket.socket.connect", reach)
    here = "openai+http://127.0.0.1/v1"
    known = providers.parse(f"o=openai,a=anthropic,gpt={here},gw={here}?prices=openai")
    priced = {name: prices.cost(MILLION, provider, "gpt-4o", {}) for name, provider in known.items()}
    assert priced["o"].amount > 1 and priced["o"].priced and priced["o"].currency == "USD"
    assert priced["gw"] == priced["o"]
    assert not priced["gpt"].priced and priced["gpt"].amount == 0  # a famous name on a server of one's own
    assert not priced["a"].priced
    assert prices.cost(MILLION, known["a"], "claude-sonnet-4-5", {}).amount > 1


def test_starting_django_imports_nothing_that_talks_to_llms() -> None:
    heavy = {"pydantic_ai", "openai", "anthropic", "genai_prices", "missions.llm.members", "missions.llm.transport"}
    code = (
        "import django, sys; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns;"
        "from missions.llm import chain, accounts;"
        f"found = {heavy!r} & set(sys.modules); sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
