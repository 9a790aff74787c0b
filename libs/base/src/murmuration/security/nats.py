"""nats-server's configuration: every identity with its own login and only its own subjects."""

import json
from pathlib import Path

from murmuration.proto.permissions import permissions
from murmuration.runtime.config import read_credentials
from murmuration.security.identities import IDENTITIES

SYNC_INTERVAL = "1s"  # what was acknowledged to a caller lives in PostgreSQL or a spool
PAYLOAD_BYTES_MAX = 1_048_576
CONNECTIONS_MAX = 65_536


def server_config(credentials_dir: Path, *, host: str, port: int, store_dir: Path) -> str:
    """The text of a configuration file for one server with JetStream. Holds passwords: 0600."""
    users: list[dict[str, object]] = []
    for identity in IDENTITIES:
        login = read_credentials(credentials_dir, identity).bus
        allowed = permissions(identity).as_nats()
        users.append({"user": login.user, "password": login.password, "permissions": allowed})
    config = {
        "server_name": "site",
        "host": host,
        "port": port,
        "max_payload": PAYLOAD_BYTES_MAX,
        "max_connections": CONNECTIONS_MAX,
        "ping_interval": "5s",
        "ping_max": 2,
        "write_deadline": "2s",
        "jetstream": {"store_dir": str(store_dir), "sync_interval": SYNC_INTERVAL},
        "authorization": {"users": users},
    }
    return json.dumps(config, indent=1)
