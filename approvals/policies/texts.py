"""The texts of a policy file: what they may hold. Pure."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator


def _plain(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t" for character in text):
        raise ValueError("it holds a control character or half a character")
    if text != text.strip() or not text:
        raise ValueError("it is empty, or begins or ends with a blank")
    return text


Text = Annotated[str, AfterValidator(_plain)]

