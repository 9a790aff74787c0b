"""The links of the agent's own network namespace, by rtnetlink only; their neighbours by LLDP.

/sys may show another namespace than the one the agent lives in; netlink cannot. A change is only a
reason to look again: what the kernel shows then is what counts, so a lost notification (the
socket's buffer ran over) costs nothing but one look.
"""

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted, NetlinkError

from murmuration.kernel.errors import Unavailable
from murmuration.node.adapters import ethtool
from murmuration.node.adapters.lldp import Lldp
from murmuration.node.core.links import LINK_COUNT_MAX
from murmuration.proto.sysinv import Link

COALESCE_S = 0.1  # a reconfiguration comes as a burst of notifications
LOOK_ATTEMPTS_MAX = 5  # a dump that changed under the reader is begun again
LOOK_S_MAX = 10.0
ADDRESS_COUNT_MAX = 32  # of one link: beyond it only the first ones are told
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_KIND_OF_TYPE = {1: "ether", 512: "ppp", 768: "ipip", 772: "loopback", 776: "sit", 778: "gre"}
_DRAIN_BYTES = 65_536


class NetlinkLinks:
    """Looks at links, and waits for changes. An asynchronous context manager."""

    def __init__(self) -> None:
        self._asker = AsyncIPRoute()
        self._events = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        self._pending = asyncio.Event()
        self._lldp = Lldp(self._pending.set)

    async def __aenter__(self) -> "NetlinkLinks":
        await self._asker.__aenter__()
        self._events.bind((0, _GROUPS))
        asyncio.get_running_loop().add_reader(self._events, self._drain)
        self._lldp.open()
        return self

    async def __aexit__(self, *reason: object) -> None:
        asyncio.get_running_loop().remove_reader(self._events)
        self._events.close()
        self._lldp.close()
        await self._asker.__aexit__(None, None, None)

    async def look(self) -> tuple[Link, ...]:
        """All links as they are now, by kernel index. Raises Unavailable."""
        fault: Exception | None = None
        for _ in range(LOOK_ATTEMPTS_MAX):
            try:
                async with asyncio.timeout(LOOK_S_MAX):
                    return self._lldp.told(await self._look())
            except NetlinkDumpInterrupted as error:
                fault = error
            except (NetlinkError, OSError, TimeoutError) as error:
                raise Unavailable(f"the kernel does not tell the links: {error!r}") from error
        raise Unavailable("the links change faster than they can be read") from fault

    async def changed(self) -> None:
        """Return COALESCE_S after something about links, addresses or neighbours has changed."""
        await self._pending.wait()
        await asyncio.sleep(COALESCE_S)
        self._pending.clear()

    async def _look(self) -> tuple[Link, ...]:
        addresses: defaultdict[int, list[str]] = defaultdict(list)
        async for found in await self._dump(self._asker.addr):
            address = found.get("local") or found.get("address")
            if address:
                addresses[found["index"]].append(f"{address}/{found['prefixlen']}")
        links: list[Link] = []
        async for found in await self._dump(self._asker.link, ext_mask=_SKIP_STATISTICS):
            if _is_container_end(found, addresses[found["index"]]):
                continue
            if len(links) < LINK_COUNT_MAX:
                links.append(_link(found, addresses[found["index"]]))
        return tuple(sorted(links, key=lambda link: link.index))

    @staticmethod
    async def _dump(ask: Callable[..., Any], **options: int) -> AsyncIterator[dict[Any, Any]]:
        """A dump; the library's annotations do not tell that it can be iterated."""
        return await ask("dump", **options)

    def _drain(self) -> None:
        self._pending.set()
        with contextlib.suppress(OSError):  # empty now, or ENOBUFS: look again either way
            while self._events.recv(_DRAIN_BYTES):
                continue


def _is_container_end(found: dict[Any, Any], addresses: list[str]) -> bool:
    """Whether a link is only the near end of what lives in another namespace.

    Containers come and go by the hundred: their ends are theirs, not the host's. An end with an
    address of its own is how the host itself is reached, and counts.
    """
    peer_is_elsewhere = found.get("link_netnsid") is not None
    return found.get(("linkinfo", "kind")) == "veth" and peer_is_elsewhere and not addresses


def _link(found: dict[Any, Any], addresses: list[str]) -> Link:
    """One link of a dump as the contract has it."""
    get = found.get
    name, flags = str(get("ifname")), int(get("flags") or 0)
    state = str(get("operstate") or "UNKNOWN")
    admin_up = bool(flags & _IFF_UP)
    running = bool(flags & _IFF_RUNNING)
    oper_up = admin_up and (state == "UP" or (state == "UNKNOWN" and running))
    kind = get(("linkinfo", "kind")) or _KIND_OF_TYPE.get(int(get("ifi_type") or 0), "other")
    return Link(
        name=name,
        index=int(found["index"]),
        kind=str(kind),
        mac=str(get("address") or ""),
        mtu_bytes=int(get("mtu") or 0),
        admin_up=admin_up,
        oper_up=oper_up,
        speed_mbps=ethtool.speed_mbps(name) if oper_up and kind != "loopback" else 0,
        addresses=tuple(sorted(addresses)[:ADDRESS_COUNT_MAX]),
    )
