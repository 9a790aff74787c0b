"""`python -m murmuration.site.prepare REQUEST`: what must be there before anything can start.

The hosts' network, every identity's secrets, join tokens for hosts, and NATS' configuration made
from the contract: work that needs pyroute2 and the contract's code, done in a process that ends, so
that the supervisor need not hold either. May be repeated.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from murmuration.kernel.errors import Rejected
from murmuration.runtime.config import load_config
from murmuration.security import identities
from murmuration.security.certificates import keep
from murmuration.security.joining import issue_token
from murmuration.security.nats import server_config
from murmuration.security.tls import pair_of
from murmuration.site.errors import Refused, SiteError
from murmuration.site.layout import write_private


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """{"network": a `make` request of `lab` or null, "credentials", "leaves": {server: [name, …]},
    "nats": {host, port, pulse_port, store, config}, "joining": {host: its folder}}; an empty host
    is the network's. A host that has no credentials of its own yet gets a join token. Answers
    {"network": … or null, "leaves": as they are by now}.
    """
    _check_environment()
    network: dict[str, Any] | None = None
    host = request["nats"]["host"]
    if request["network"] is not None:
        from murmuration.site import lab
        from murmuration.site.network import from_json

        network = dict(lab.make(request["network"])["network"])
        host = host or from_json(json.dumps(network)).site_address
    credentials = Path(request["credentials"])
    identities.ensure(credentials)
    leaves: dict[str, list[str]] = request["leaves"]
    leaves["nats"] = [*leaves["nats"], *([host] if host not in leaves["nats"] else [])]
    keep(credentials, leaves, now=datetime.now(UTC), may_retire=False)
    for name, folder in request["joining"].items():
        if not (Path(folder) / "bus.json").exists():
            write_private(Path(folder) / "join.token", issue_token(credentials, name) + "\n")
    text = server_config(
        credentials,
        host=host,
        port=request["nats"]["port"],
        store_dir=Path(request["nats"]["store"]),
        pair=pair_of(credentials, "nats"),
        pulse_port=request["nats"]["pulse_port"],
    )
    write_private(Path(request["nats"]["config"]), text)
    return {"network": network, "leaves": leaves}


def _check_environment() -> None:
    """What MUR_ variables override in the sections that every part reads, must be readable."""
    try:
        load_config("site", Path(os.devnull))
    except Rejected as error:
        raise Refused(
            f"The environment overrides what cannot be: {error}.",
            "Mend or unset the MUR_ variable of that key.",
        ) from error


def main(arguments: list[str]) -> int:
    """Do one request; the process' exit code."""
    try:
        answer = prepare(json.loads(arguments[0]))
    except SiteError as error:
        answer = {"error": error.what, "remedy": error.remedy}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 2 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
