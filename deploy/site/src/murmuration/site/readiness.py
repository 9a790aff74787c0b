"""When a site is ready: every process is, and the gateway shows every host with its heart well."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from murmuration.site.errors import Refused
from murmuration.site.keeper import Keeper, Phase
from murmuration.site.probes import HttpReady, http_get
from murmuration.site.process import Group

WELL = "well"
WRONG_CONFIGURATION = 2  # the exit code of every service (murmuration.runtime.service)
PAGES_MAX = 200  # more pages of hosts than any site has: a cursor that turns in a circle ends here


def unready_processes(keepers: Mapping[str, Keeper]) -> list[str]:
    """What is not ready and why, but for agents: what they do shows at their hosts.

    What only waits for others is not told beside them.
    """
    unready = [
        keeper
        for keeper in keepers.values()
        if not keeper.is_ready and keeper.spec.group is not Group.HOSTS
    ]
    active = [keeper for keeper in unready if keeper.phase is not Phase.WAITING]
    return [_describe(keeper) for keeper in active or unready]


def check_configuration(keepers: Mapping[str, Keeper]) -> None:
    """Raise Refused when a service has ended because it cannot use its configuration."""
    for keeper in keepers.values():
        if keeper.spec.group is Group.SERVICES and keeper.last_code == WRONG_CONFIGURATION:
            said = keeper.log.last_line()
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = str(json.loads(said)["reason"])
            raise Refused(
                f"{keeper.spec.name} cannot use its configuration: {said.rstrip('.')}.",
                "Mend that key: look at the MUR_ variables of the environment.",
            )


def _describe(keeper: Keeper) -> str:
    name = keeper.spec.name
    if keeper.phase is Phase.BACKOFF:
        return f"{name} (ended: {keeper.last_exit})"
    reason = keeper.spec.ready.reason if isinstance(keeper.spec.ready, HttpReady) else ""
    return f"{name} ({reason})" if reason else name


async def unheard_hosts(
    host: str, port: int, *, token: str, names: Sequence[str], heartbeat_since: datetime | None
) -> list[str]:
    """The hosts that the gateway does not show at all, or as well since then. OSError.

    What a site knew of its hosts when it was stopped is still shown: only what was heard since
    counts. None: it is enough that they are shown.
    """
    seen: dict[str, str] = {}
    path = "/api/v1/hosts?limit=500"
    for _ in range(PAGES_MAX):
        status, body = await http_get(host, port, path, token=token)
        if status != 200:
            return [f"the gateway's list of hosts (HTTP {status})"]
        page = cast(dict[str, Any], json.loads(body))
        seen.update({view["name"]: _heard(view, heartbeat_since) for view in page["items"]})
        if not page.get("next"):
            break
        path = f"/api/v1/hosts?limit=500&after={quote(page['next'])}"
    return [
        f"{name} ({'heartbeat ' + seen[name] if name in seen else 'not enrolled'})"
        for name in names
        if name not in seen or (heartbeat_since and seen[name] != WELL)
    ]


def _heard(view: dict[str, Any], since: datetime | None) -> str:
    last = view.get("last_heard_at")
    if since is not None and (last is None or datetime.fromisoformat(last) < since):
        return "awaited"
    return str(view["heartbeat"])


def explain(names: Sequence[str], *, most: int = 6) -> str:
    """The first of many, and how many more, in one phrase."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown
