"""`python -m murmuration.site.lab REQUEST`: what the supervisor asks of the hosts' network.

A short-lived process, so that pyroute2's memory is not the supervisor's. REQUEST is one JSON
object, the answer another, the last line of stdout: {"error": …, "remedy": …} when refused.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from murmuration.site import namespaces, network
from murmuration.site.errors import SiteError

Request = Mapping[str, Any]


def make(request: Request) -> Request:
    """{"op": "make", "owner", "prefix", "token", "hosts"}: a network for a site."""
    owner = network.from_json(json.dumps(request["owner"]))
    with network.records_locked():
        made = namespaces.claim(
            prefix=request["prefix"] or None,
            token=request["token"],
            hosts=tuple(request["hosts"]),
            owner=owner,
        )
        namespaces.build(made)
    return {"network": json.loads(made.to_json())}


def remove(request: Request) -> Request:
    """{"op": "remove", "state"}: remove every network of a state folder, and those of the dead."""
    with network.records_locked():
        for known in network.records():
            if known.state == request["state"] or not known.owner_lives:
                namespaces.remove(known)
    return {}


def faults(request: Request) -> Request:
    """{"op": "faults", "network", "host", "link_down", "cut"}: make a host's link as told."""
    namespaces.apply_faults(
        network.from_json(json.dumps(request["network"])),
        request["host"],
        link_down=request["link_down"],
        cut=frozenset(request["cut"]),
    )
    return {}


OPERATIONS: Mapping[str, Callable[[Request], Request]] = {
    "make": make,
    "remove": remove,
    "faults": faults,
}


def main(arguments: list[str]) -> int:
    """Do one request; the process' exit code."""
    request = json.loads(arguments[0])
    try:
        answer = OPERATIONS[request["op"]](request)
    except SiteError as error:
        answer = {"error": error.what, "remedy": error.remedy}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 2 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
