"""What enrolment gives the heartbeat sender: the content of pulse.json.

The sender (murmuration.pulse) reads it with its own few lines; a test holds the two together.
"""

import base64

import msgspec

from murmuration.proto.sysinv import EnrolReply


class PulseBus(msgspec.Struct, frozen=True, kw_only=True):
    """Where and as whom the sender logs in; `host` is a numeric address.

    `web`: that door speaks WebSocket, and no TLS.
    """

    host: str
    port: int
    web: bool = False
    jwt: str
    seed: str


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


def settled(before: PulseFile | None, after: PulseFile) -> PulseFile:
    """`after`, with the JWT of `before` if it grants the same: the sender need not log in again."""
    if before is None or before.bus.seed != after.bus.seed:
        return after
    if grant(before.bus.jwt) != grant(after.bus.jwt):
        return after
    bus = msgspec.structs.replace(after.bus, jwt=before.bus.jwt)
    return msgspec.structs.replace(after, bus=bus)


def grant(token: str) -> dict[str, object]:
    """What a JWT says but for when and under which number it was issued; empty for none."""
    try:
        body = token.split(".")[1]
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        claims = msgspec.json.decode(raw, type=dict[str, object])
    except (IndexError, ValueError, msgspec.MsgspecError):
        return {}
    return {name: value for name, value in claims.items() if name not in ("iat", "jti")}


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
