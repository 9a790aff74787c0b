"""The [fm] section."""

from typing import Annotated

from msgspec import Meta

from murmuration.runtime.config import Section


class FmSection(Section, frozen=True, kw_only=True):
    """What fm alone needs to know."""

    listen: Annotated[str, Meta(description="health and metrics, loopback")] = "127.0.0.1:8783"
