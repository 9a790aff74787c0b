"""mtce's own section of the site's configuration."""

from typing import Annotated

from msgspec import Meta

from murmuration.runtime.config import Section


class MtceSection(Section, frozen=True, kw_only=True):
    """[mtce]: where it listens."""

    listen: Annotated[str, Meta(description="health and metrics; loopback only")] = "127.0.0.1:8782"
    udp_listen: Annotated[str, Meta(description="pulses by UDP, host:port; the second witness")] = (
        "127.0.0.1:8790"
    )
