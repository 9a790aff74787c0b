"""The [fm] section."""

from typing import Annotated

from msgspec import Meta

from murmuration.runtime.config import Section


class FmSection(Section, frozen=True, kw_only=True):
    """What fm alone needs to know."""

    listen: Annotated[str, Meta(description="health and metrics, loopback")] = "127.0.0.1:8783"
    tick_s: Annotated[
        int, Meta(ge=1, le=300, description="fm's own tick, which leases count: their resolution")
    ] = 30
    history_age_max_d: Annotated[
        int, Meta(ge=1, le=3_650, description="days of history kept; a day goes as a whole")
    ] = 90
    history_size_max_mb: Annotated[
        int, Meta(ge=16, description="MiB of history kept, indexes included; the oldest goes first")
    ] = 4_096
    correlation_rules: Annotated[
        str, Meta(description="folder with further rules (*.toml) of which alarm explains which")
    ] = ""
    trace: Annotated[
        str, Meta(description="file for what causes are found from, to replay; empty: none")
    ] = ""
