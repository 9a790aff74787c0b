"""`python -m murmuration.site.certs REQUEST`: the site's certificates, kept beside the supervisor.

{"credentials", "leaves": {name: [address or name, …]}, "renew", "rotate", "hurry", "may_retire"}
answers {"summary", "changed"}: see murmuration.security.certificates.keep. A process that ends, so
that the supervisor neither holds the authority's key nor carries the library.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from murmuration.kernel.errors import MurmurationError
from murmuration.security.certificates import keep


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do one request. Raises MurmurationError, OSError."""
    summary, changed = keep(
        Path(request["credentials"]),
        request["leaves"],
        now=datetime.now(UTC),
        renew=bool(request.get("renew")),
        asked=bool(request.get("rotate")),
        hurry=bool(request.get("hurry")),
        may_retire=bool(request.get("may_retire")),
    )
    return {"summary": msgspec.to_builtins(summary), "changed": changed}


def main(arguments: list[str]) -> int:
    """Do one request; the process' exit code."""
    try:
        found = answer(json.loads(arguments[0]))
    except (MurmurationError, OSError, ValueError) as error:
        found = {"error": f"The certificates cannot be kept: {error}."}
    sys.stdout.write(json.dumps(found) + "\n")
    return 2 if "error" in found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
