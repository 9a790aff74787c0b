"""What was decided for a silence ends with it: the last look before a host is restarted."""

from typing import Protocol

from murmuration.kernel.errors import Unavailable
from murmuration.mtce.ports import Observer
from murmuration.proto.ids import HostName


class Restart(Protocol):
    """What is asked of an effect's body."""

    @property
    def host(self) -> str:
        """On whom."""
        ...

    @property
    def silent(self) -> bool:
        """Whether it was decided because the host is silent."""
        ...


def refuse_returned(observer: Observer, order: Restart) -> None:
    """Hold an effect back that was decided because the host was silent, when it is heard again.

    It is withdrawn as soon as the host counts as well, or decided anew. Raises Unavailable.
    """
    if order.silent and observer.observe(HostName(order.host)).returned:
        raise Unavailable(f"{order.host} is heard again: it is not restarted for its silence")
