"""What one run of mur works with: its options, the site, the clock and the way out to stdout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from murmuration.cli.output import write_line, write_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from murmuration.cli.http import Client

TIMEOUT_S = 10.0  # longer than the gateway's own 5 s of waiting for a read model


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options that every command takes."""

    as_json: bool = False
    utc: bool = False
    site: str | None = None
    url: str | None = None
    token: str | None = None
    timeout_s: float = TIMEOUT_S


def clock() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)


class Session:
    """One run. The site is looked for when a command first needs it."""

    def __init__(self, options: Options, *, now: Callable[[], datetime] = clock) -> None:
        self.options = options
        self.now = now

    @property
    def as_json(self) -> bool:
        """Whether a program reads stdout."""
        return self.options.as_json

    @cached_property
    def client(self) -> "Client":
        """HTTP to the site. Raises Usage when there is none."""
        from murmuration.cli import sites
        from murmuration.cli.http import Client

        options = self.options
        site = sites.find(
            site=options.site, url=options.url, token=options.token, environ=os.environ
        )
        return Client(site, timeout_s=options.timeout_s)

    @cached_property
    def control_socket(self) -> str:
        """The supervisor's control socket. Raises Usage when there is no site here."""
        from murmuration.cli import sites

        return sites.control_socket(self.options.site, os.environ)

    @property
    def authorities(self) -> str:
        """The file of the site's authorities. Raises Usage when there is no site here."""
        from murmuration.cli import sites

        return sites.authorities(self.options.site, os.environ)

    def print_json(self, body: bytes) -> None:
        """One JSON value as the API sent it, on one line."""
        write_line(msgspec.json.format(body, indent=-1) if b"\n" in body else body)

    def print(self, *renderables: "RenderableType") -> None:
        """Tables and sentences for people."""
        from murmuration.cli.render import to_text

        write_text(to_text(*renderables))

    def moment(self, at: datetime) -> datetime:
        """`at` in the time zone that people are shown: the local one, or UTC."""
        return at.astimezone(UTC if self.options.utc else None)
