"""EMAIL_URL becomes Django's mail settings, or stops start-up without telling the password."""

from __future__ import annotations

import pytest

from config import env, mail


def test_addresses_of_mail_servers() -> None:
    found = mail.parse("smtp://ann:p%40ss@mail.example:2525/?from=standfast@example.org")
    assert found is not None and found.backend.endswith("smtp.EmailBackend")
    assert (found.host, found.port, found.user, found.password) == ("mail.example", 2525, "ann", "p@ss")
    assert (found.starttls, found.tls, found.sender) == (True, False, "standfast@example.org")
    direct, open_, console = (mail.parse(url) for url in ("smtps://mail.example", "smtp://mx?tls=off", "console:"))
    assert direct is not None and (direct.port, direct.tls, direct.starttls) == (465, True, False)
    assert open_ is not None and (open_.port, open_.starttls) == (587, False)
    assert console is not None and console.backend.endswith("console.EmailBackend")
    assert mail.parse("") is None


@pytest.mark.parametrize("url", [
    "mail.example", "http://mail.example", "smtp://", "smtp://mx:port", "smtp://mx/?from=nobody", "smtp://mx/?tls=on",
    "smtp://ann:hush@mx/?colour=red", "smtp://mx/?from=a%0Ab@c",
])  # fmt: skip
def test_unusable_addresses_stop_start_up(url: str) -> None:
    with pytest.raises(env.SettingError, match="EMAIL_URL") as refused:
        mail.parse(url)
    assert "hush" not in str(refused.value)
