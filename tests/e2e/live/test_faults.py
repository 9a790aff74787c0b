"""A real host breaks, the site says so, and says when it is well again; seen with `mur` alone."""

import json

import pytest

from murmuration.testkit.levels import reaches
from murmuration.testkit.site import Site


def availability(live: Site, host: str) -> str:
    done = live.mur("--json", "host", "show", host)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["availability"]


def alarms(live: Site, host: str) -> set[tuple[str, str]]:
    done = live.mur("--json", "alarm", "list")
    assert done.returncode == 0, done.stderr
    return {
        (alarm["alarm_id"], alarm["severity"])
        for alarm in json.loads(done.stdout)["items"]
        if alarm["entity"] == f"host={host}"
    }


@pytest.mark.parametrize("fault", ["kill", "freeze", "link-down", "partition"])
async def test_host_fails_with_its_alarms_and_returns_without_them(live: Site, fault: str) -> None:
    broken = live.mur("lab", fault, "worker-1")
    assert broken.returncode == 0, broken.stderr
    try:
        await reaches(lambda: availability(live, "worker-1") == "failed")
        lost = {("200.004", "critical"), ("200.005", "critical")}
        await reaches(lambda: alarms(live, "worker-1") == lost)
        assert availability(live, "worker-2") == "available"
    finally:
        healed = live.mur("lab", "heal", "worker-1")
    assert healed.returncode == 0, healed.stderr
    await reaches(lambda: availability(live, "worker-1") == "available")
    await reaches(lambda: not alarms(live, "worker-1"))


async def test_site_is_well_and_says_so_in_one_line(live: Site) -> None:
    async def well() -> bool:
        done = live.mur("--json", "health")
        return done.returncode == 0 and json.loads(done.stdout)["status"] == "ok"

    await reaches(well)


async def test_services_come_back_when_they_are_killed(live: Site) -> None:
    import os
    import signal

    for name in ("fm", "mtce", "sysinv", "gateway"):
        pid = live.processes()[name]
        os.kill(pid, signal.SIGKILL)

        def back(name: str = name, pid: int = pid) -> bool:
            return live.processes().get(name, pid) != pid

        await reaches(back, what=f"{name} running again")
    await reaches(lambda: live.mur("health").returncode == 0)
    assert availability(live, "worker-2") == "available"
