"""`python -m murmuration.site.users REQUEST`: NATS users, made and revoked beside the supervisor.

{"action": "create", "role", "name", "days", "credentials"} answers {"text"}; {"action": "list",
"credentials"} answers {"users": […]}; {"action": "revoke", "name", "credentials", "url",
"ca"} answers {"reason"}. A process that ends, so that the supervisor holds no key.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from murmuration.kernel.errors import MurmurationError
from murmuration.runtime.config import BusSection
from murmuration.security import users


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do one request. Raises MurmurationError."""
    folder = Path(request["credentials"])
    name = str(request.get("name", ""))
    match request["action"]:
        case "create":
            role, days = str(request.get("role", "")), int(request.get("days") or 0)
            return {"text": users.create(folder, role=role, name=name, days=days)}
        case "revoke":
            asyncio.run(
                users.revoke(folder, name, bus=BusSection(url=request["url"], ca=request["ca"]))
            )
            return {"reason": f"{name} is refused from now on."}
        case _:
            return {"users": [msgspec.to_builtins(each) for each in users.known(folder)]}


def main(arguments: list[str]) -> int:
    """Do one request; the process' exit code."""
    try:
        found = answer(json.loads(arguments[0]))
    except (MurmurationError, ValueError) as error:
        text = str(error)
        found = {"error": f"{text[:1].upper()}{text[1:].rstrip('.')}."}
    sys.stdout.write(json.dumps(found) + "\n")
    return 2 if "error" in found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
