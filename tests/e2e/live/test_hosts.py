"""An operator's path: locked, rebooted, unlocked for real; refused by code, planned, explained."""

import json
from typing import Any

from murmuration.testkit.levels import reaches
from murmuration.testkit.site import Site


def mur(live: Site, *words: str) -> dict[str, Any]:
    done = live.mur("--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def states(live: Site, host: str) -> str:
    view = mur(live, "host", "show", host)
    return f"{view['administrative']}-{view['operational']}-{view['availability']}"


def alarms(live: Site, host: str) -> set[str]:
    items = mur(live, "alarm", "list")["items"]
    return {alarm["alarm_id"] for alarm in items if alarm["entity"] == f"host={host}"}


async def test_host_is_locked_rebooted_and_unlocked_as_an_operator_wants(live: Site) -> None:
    await reaches(lambda: states(live, "worker-2") == "unlocked-enabled-available")
    refused = live.mur("host", "reboot", "worker-2")
    assert (refused.returncode, "host-unlocked" in refused.stderr) == (1, True)
    plan = mur(live, "host", "lock", "worker-2", "--dry-run")
    assert plan["stages"][0]["effect"] == "agent.services_stop"
    assert states(live, "worker-2") == "unlocked-enabled-available"

    locked = live.mur("host", "lock", "worker-2", "--wait")
    assert locked.returncode == 0, locked.stderr
    await reaches(lambda: states(live, "worker-2") == "locked-disabled-online")
    await reaches(lambda: alarms(live, "worker-2") == {"200.001"})

    before = mur(live, "host", "show", "worker-2")["boot_id"]
    rebooted = live.mur("host", "reboot", "worker-2", "--wait")
    assert rebooted.returncode == 0, rebooted.stderr
    await reaches(lambda: mur(live, "host", "show", "worker-2")["boot_id"] != before)

    unlocked = live.mur("host", "unlock", "worker-2", "--wait")
    assert unlocked.returncode == 0, unlocked.stderr
    await reaches(lambda: states(live, "worker-2") == "unlocked-enabled-available")
    await reaches(lambda: not alarms(live, "worker-2"))
    why = mur(live, "host", "why", "worker-2", "--limit", "100")
    inputs = [step["input"] for step in why["steps"]]
    for said in ("lock completed", "reboot completed", "unlock completed"):
        assert said in inputs
    assert all(step["reason"] for step in why["steps"])
