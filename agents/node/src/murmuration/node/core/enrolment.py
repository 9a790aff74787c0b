"""What enrolment gives the heartbeat sender: the content of pulse.json.

The sender (murmuration.pulse) reads it with its own few lines; a test holds the two together.
"""

import msgspec

from murmuration.proto.sysinv import EnrolReply


class PulseBus(msgspec.Struct, frozen=True, kw_only=True):
    """Where and as whom the sender logs in; `host` is a numeric address."""

    host: str
    port: int
    user: str
    password: str


class PulseFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `kernel_boot_id` lets the sender pass over one from before a reboot."""

    host: str
    index: int
    shard: int
    period_ms: int
    key: str
    boot_id: str
    kernel_boot_id: str = ""
    bus: PulseBus
    udp: tuple[tuple[str, int], ...]


def pulse_file(
    reply: EnrolReply,
    *,
    boot_id: str,
    kernel_boot_id: str,
    bus: PulseBus,
    udp: tuple[tuple[str, int], ...],
) -> PulseFile:
    """The file that follows from the inventory's answer."""
    return PulseFile(
        host=reply.host,
        index=reply.index,
        shard=reply.shard,
        period_ms=reply.pulse_period_ms,
        key=reply.pulse_key,
        boot_id=boot_id,
        kernel_boot_id=kernel_boot_id,
        bus=bus,
        udp=udp,
    )


def renewed(
    before: PulseFile | None, *, host: str, boot_id: str, kernel_boot_id: str
) -> PulseFile | None:
    """The file of an earlier boot, made good for this one; None when there is nothing to renew.

    An index and its key are not given again, so after a reboot the host can be heard at once, even
    while the inventory is away.
    """
    if before is None or before.host != host:
        return None
    after = msgspec.structs.replace(before, boot_id=boot_id, kernel_boot_id=kernel_boot_id)
    return after if after != before else None
