"""What is wrong with the links that have a part in the site.

Each port that is down is one condition; an interface of several ports is degraded when some are
down and lost when all are, one of a single port is lost with it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from murmuration.proto.fm import Severity
from murmuration.proto.sysinv import Link


class Role(Protocol):
    """An interface, its network and its ports."""

    @property
    def name(self) -> str:
        """The interface."""
        ...

    @property
    def network(self) -> str:
        """oam, management or cluster-host."""
        ...

    @property
    def ports(self) -> tuple[str, ...]:
        """The links that it is made of."""
        ...


class LinkFault(NamedTuple):
    """One thing that is wrong; `name` is `<network>:<port|interface>:<link>`."""

    name: str
    severity: Severity
    reason: str


def faults_of(roles: Sequence[Role], links: Mapping[str, Link]) -> list[LinkFault]:
    """All that is wrong with these interfaces."""
    found: list[LinkFault] = []
    for role in roles:
        ports = role.ports or (role.name,)
        down = [port for port in ports if port not in links or not links[port].oper_up]
        found += [
            LinkFault(
                f"{role.network}:port:{port}",
                Severity.MAJOR,
                f"port {port} of the {role.network} network {_what(port, links)}",
            )
            for port in down
        ]
        if down:
            lost = len(down) == len(ports)
            found.append(
                LinkFault(
                    f"{role.network}:interface:{role.name}",
                    Severity.CRITICAL if lost else Severity.MAJOR,
                    f"interface {role.name} of the {role.network} network has "
                    + ("no port left" if lost else f"lost {len(down)} of {len(ports)} ports"),
                )
            )
    return found


def _what(port: str, links: Mapping[str, Link]) -> str:
    if port not in links:
        return "is not there"
    return "has no carrier" if links[port].admin_up else "is switched off"
