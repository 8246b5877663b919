"""Which part of history a replay is about: a stretch of time, or the last so many rulings. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

MOST: Final = 10_000_000
USUAL: Final = 10_000  # the last so many, where nothing is said


class Window(BaseModel):
    """`from` and `until` (RFC 3339 with an offset; from is part of it, until is not), or `last`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    since: AwareDatetime | None = Field(default=None, alias="from", title="From")
    until: AwareDatetime | None = Field(default=None, title="Until")
    last: int | None = Field(default=None, ge=1, le=MOST, title="Last", description="The last so many rulings.")

    @model_validator(mode="after")
    def _fits(self) -> Window:
        if self.last is not None and self.since is not None:
            raise ValueError("give a time to begin at, or how many of the last rulings, not both")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("the window ends before it begins")
        return self

    def usual(self) -> Window:
        """The same; where nothing limits it, the last rulings in the usual number."""
        return self if self.since or self.last else self.model_copy(update={"last": USUAL})

    def as_json(self) -> dict[str, Any]:
        """Only what is given, as it is written."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Window:
        """The window that `as_json` wrote. Raises ValidationError."""
        return cls.model_validate(dict(data))

    def words(self) -> str:
        """For people: "the last 10,000 rulings", "from … until …"."""
        end = f" until {_told(self.until)}" if self.until else ""
        if self.last:
            return f"the last {self.last:,} rulings{end and f' before {_told(self.until)}'}"
        return f"from {_told(self.since)}{end}" if self.since else f"all rulings{end}"


def _told(at: dt.datetime | None) -> str:
    return f"{at.astimezone(dt.UTC):%-d %b %Y, %H:%M} UTC" if at else ""
