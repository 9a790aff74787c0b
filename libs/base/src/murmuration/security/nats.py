"""nats-server's configuration, and what is told to a running one: accounts and revocations."""

import contextlib
import json
from pathlib import Path

import nats.errors

from murmuration.kernel.errors import Unavailable
from murmuration.runtime.config import BusSection
from murmuration.security.authority import Authority, open_authority
from murmuration.security.client import new_client
from murmuration.security.login import authorities_of, login_options

SYNC_INTERVAL = "1s"  # what was acknowledged to a caller lives in PostgreSQL or a spool
PAYLOAD_BYTES_MAX = 1_048_576
CONNECTIONS_MAX = 65_536
PUSH_S = 5.0
TLS_TIMEOUT_S = 5  # a handshake takes milliseconds; a loaded machine gets a thousand times that
_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"


def server_config(
    credentials_dir: Path,
    *,
    host: str,
    port: int,
    store_dir: Path,
    pair: Path | None = None,
    pulse_port: int | None = None,
) -> str:
    """The text of a configuration file for one server with JetStream.

    `pair`: the server's key and certificate; then it speaks TLS from the first byte, and nothing
    else. `pulse_port` opens a second door, WebSocket without TLS, where only PLAIN roles get in.
    It holds no secret: the operator and the accounts are JWTs. The server keeps the accounts
    beside its store, and takes the newer of what it has and what stands here.
    """
    with open_authority(credentials_dir) as authority:
        config: dict[str, object] = {
            "server_name": "site",
            "host": host,
            "port": port,
            "max_payload": PAYLOAD_BYTES_MAX,
            "max_connections": CONNECTIONS_MAX,
            "ping_interval": "5s",
            "ping_max": 2,
            "write_deadline": "2s",
            "jetstream": {"store_dir": str(store_dir), "sync_interval": SYNC_INTERVAL},
            "operator": authority.operator_jwt(),
            "system_account": authority.system.public,
            "resolver": {
                "type": "full",
                "dir": str(store_dir / "accounts"),
                "allow_delete": False,
                "interval": "2m",
            },
            "resolver_preload": authority.account_jwts(),
        }
    if pair is not None:
        config["tls"] = {
            "cert_file": str(pair),
            "key_file": str(pair),
            "min_version": "1.3",
            "handshake_first": True,
            "timeout": TLS_TIMEOUT_S,
        }
    if pulse_port is not None:
        config["websocket"] = {"host": host, "port": pulse_port, "no_tls": True}
    return json.dumps(config, indent=1)


async def push(authority: Authority, section: BusSection) -> None:
    """Tell a running server the accounts as they are now; nobody else is disturbed.

    May be repeated. Raises Unavailable when the server does not take them.
    """
    options = login_options(authority.system_login(), "authority")
    said: list[str] = []

    async def on_error(error: Exception) -> None:
        said.append(str(error))

    client, secured = new_client(authorities_of(section))
    try:
        await client.connect(
            section.url,
            allow_reconnect=False,
            connect_timeout=2,
            error_cb=on_error,
            **options,
            **secured,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(
            f"NATS at {section.url} does not let the authority in: {error}"
        ) from error
    try:
        for token in authority.account_jwts().values():
            answer = await client.request(_UPDATE, token.encode(), timeout=PUSH_S)
            if "error" in json.loads(answer.data):
                raise Unavailable(f"NATS refuses an account: {answer.data.decode()[:300]}")
    except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
        why = "; ".join(said) or repr(error)
        raise Unavailable(f"NATS did not take the accounts: {why}") from error
    finally:
        with contextlib.suppress(Exception):
            await client.close()
