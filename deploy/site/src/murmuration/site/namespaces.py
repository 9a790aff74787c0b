"""Makes, changes and removes the network of namespace hosts: pyroute2, in a process of its own.

The supervisor does not import this (9 MB): it runs `python -m murmuration.site.lab`. Every function
may be repeated and leaves the same: what is there already is kept, what is gone is not missed.
"""

import contextlib
import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetNS
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.nftables.expressions import genex, verdict
from pyroute2.nftables.main import NFTables

from murmuration.site import network as records
from murmuration.site import syscalls
from murmuration.site.errors import Refused
from murmuration.site.network import PREFIX, Network

NFPROTO_BRIDGE = 7  # linux/netfilter.h
NFT_META_IIFNAME, NFT_META_OIFNAME = 6, 7  # linux/netfilter/nf_tables.h
NF_DROP, NF_ACCEPT = 0, 1
PRIORITY_FIRST, PRIORITY_LAST = -300, 300  # before and after every other chain of the bridge
IFNAMSIZ = 16


def claim(*, prefix: str | None, token: str, hosts: tuple[str, ...], owner: Network) -> Network:
    """Choose a prefix and a subnet nobody uses and write the record. Raises Refused.

    `owner` carries state and owner. Networks of dead supervisors, and an earlier one of this
    state folder, are removed first.
    """
    for known in records.records():
        if not known.owner_lives or known.state == owner.state:
            remove(known)
    taken = {known.prefix for known in records.records()}
    wanted = [prefix] if prefix else [PREFIX, f"{PREFIX}-{token[:4]}"]
    free = [p for p in wanted if p not in taken and not _named(f"{p}-site")]
    if not free:
        raise Refused(
            f"The network namespace {wanted[-1]}-site is there already.",
            "Give this site another --prefix, or remove it with `ip netns delete`.",
        )
    used = records.used_subnets()
    subnet = next((n for n in range(256) if n not in used), None)
    if subnet is None:
        raise Refused("Every subnet of 198.18.0.0/16 is in use.", "Stop another site first.")
    network = replace(owner, prefix=free[0], subnet=subnet, hosts=hosts)
    network.record.write_text(network.to_json())
    return network


def _named(name: str) -> bool:
    return Path(records.NAMESPACES, name).exists()


def build(network: Network) -> None:
    """Make the namespaces, the bridge and the links. Raises Refused when the kernel will not."""
    try:
        for name in network.names:
            syscalls.create_network(f"{records.NAMESPACES}/{name}")
        with IPRoute() as machine, _inside(network.site_path) as site:
            _bridge(site, network)
            for host in network.hosts:
                _join(site, network, host)
            _uplink(machine, network)
    except (NetlinkError, OSError) as error:
        remove(network)
        raise Refused(
            f"Cannot make the hosts' network: {error}.",
            "Use --simulated, or a kernel with namespaces, bridge and veth.",
        ) from error


def _bridge(site: Any, network: Network) -> None:
    site.link("set", index=1, state="up")
    site.link("add", ifname="br0", kind="bridge", br_stp_state=0, br_forward_delay=0)
    bridge = _index(site, "br0")
    site.addr("add", index=bridge, address=network.site_address, prefixlen=24)
    site.link("set", index=bridge, state="up")


def _join(site: Any, network: Network, host: str) -> None:
    path = network.path(host)
    peer = {"ifname": "eth0", "net_ns_fd": path}
    site.link("add", ifname=network.port(host), kind="veth", peer=peer)
    _plug(site, network.port(host))
    with _inside(path) as inside:
        inside.link("set", index=1, state="up")
        link = _index(inside, "eth0")
        inside.addr("add", index=link, address=network.address(host), prefixlen=24)
        inside.link("set", index=link, state="up")


def _uplink(machine: Any, network: Network) -> None:
    peer = {"ifname": "uplink", "net_ns_fd": network.site_path}
    machine.link("add", ifname=network.machine_link, kind="veth", peer=peer)
    link = _index(machine, network.machine_link)
    with _inside(network.site_path) as site:
        _plug(site, "uplink")
    machine.addr("add", index=link, address=network.machine_address, prefixlen=24)
    machine.link("set", index=link, state="up")


def _inside(path: str) -> Any:
    """netlink inside a namespace, which must be there: pyroute2 would make one."""
    return NetNS(path, flags=0)


def _index(where: Any, name: str) -> int:
    """The index of a link; NetlinkError when it is not there."""
    found: list[int] = list(where.link_lookup(ifname=name))
    if not found:
        raise NetlinkError(errno.ENODEV, f"no link {name}")
    return found[0]


def _plug(site: Any, name: str) -> None:
    bridge = _index(site, "br0")
    port = _index(site, name)
    site.link("set", index=port, master=bridge, state="up")


def remove(network: Network) -> None:
    """Remove the network, then its record."""
    with IPRoute() as machine, contextlib.suppress(NetlinkError):
        machine.link("del", index=_index(machine, network.machine_link))
    for name in network.names:
        syscalls.remove_network(f"{records.NAMESPACES}/{name}")
    network.record.unlink(missing_ok=True)


def apply_faults(network: Network, host: str, *, link_down: bool, cut: frozenset[str]) -> None:
    """Make a host's link and the bridge's rules as told.

    `link_down` is a pulled cable: the host's eth0 loses its carrier. `cut` holds "from" and "to":
    frames from the host, and to it, are dropped at the bridge while the link stays up. Raises
    Refused when the kernel will not.
    """
    port = network.port(host)
    try:
        with _inside(network.site_path) as site:
            index = _index(site, port)
            site.link("set", index=index, state="down" if link_down else "up")
        with syscalls.visiting_network(network.site_path):
            _partition(f"mur_{port}", port, cut)
    except (NetlinkError, OSError) as error:
        raise Refused(f"The kernel does not do that to {host}'s link: {error}.") from error


def _partition(table: str, port: str, cut: frozenset[str]) -> None:
    """A table of the bridge family per host, so that healing one never opens another."""
    with NFTables(nfgen_family=NFPROTO_BRIDGE) as nft:
        with contextlib.suppress(NetlinkError):
            nft.table("del", name=table)
        if not cut:
            return
        nft.table("add", name=table)
        if "from" in cut:
            _drop(nft.chain, nft.rule, table=table, hook="prerouting", port=port)
        if "to" in cut:
            _drop(nft.chain, nft.rule, table=table, hook="postrouting", port=port)


def _drop(
    chain: Callable[..., object], rule: Callable[..., object], *, table: str, hook: str, port: str
) -> None:
    incoming = hook == "prerouting"
    priority = PRIORITY_FIRST if incoming else PRIORITY_LAST
    chain(
        "add", table=table, name=hook, hook=hook, type="filter", policy=NF_ACCEPT, priority=priority
    )
    key = NFT_META_IIFNAME if incoming else NFT_META_OIFNAME
    name = port.encode().ljust(IFNAMSIZ, b"\0")
    matches = [
        genex("meta", {"KEY": key, "DREG": 1}),
        genex("cmp", {"SREG": 1, "OP": 0, "DATA": {"attrs": [("NFTA_DATA_VALUE", name)]}}),
    ]
    rule("add", table=table, chain=hook, expressions=(matches, verdict(NF_DROP)))
