"""The [sysinv] section."""

from typing import Annotated

from msgspec import Meta

from murmuration.runtime.config import Section


class SysinvSection(Section, frozen=True, kw_only=True):
    """What sysinv alone needs to know."""

    listen: Annotated[str, Meta(description="health and metrics, loopback")] = "127.0.0.1:8781"
    accept: Annotated[
        str,
        Meta(pattern="^(automatic|manual)$", description="whether who enrols waits for a person"),
    ] = "manual"
    pulse_period_ms: Annotated[int, Meta(ge=50, le=1_000)] = 100  # LAN; 1000 suits a WAN
