"""How sysinv tells the site what became of a host."""

import msgspec

from murmuration.proto.sysinv import Host, HostRemoved
from murmuration.store.database import Unit

BUCKET = "sysinv_hosts"


def say(unit: Unit, event: msgspec.Struct, host: Host) -> None:
    """Publish an event about `host` and leave its record as state."""
    unit.emit(event, entity=host.name, bucket=BUCKET, state=host, host=host.name)


def remove(unit: Unit, event: HostRemoved) -> None:
    """Publish that a host is no more, and leave a tombstone as state."""
    unit.emit(event, entity=event.host, bucket=BUCKET, host=event.host)
