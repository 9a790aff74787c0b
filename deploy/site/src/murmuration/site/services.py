"""The services as processes: each its own, or all in one (compact); and the provisioner."""

import sys
from collections.abc import Sequence

from murmuration.site.certificates import bundle
from murmuration.site.layout import Layout
from murmuration.site.postgres import PORT
from murmuration.site.probes import HttpReady
from murmuration.site.process import Group, ProcessSpec
from murmuration.site.settings import Settings
from murmuration.site.sockets import HTTPS, LOOPBACK, PULSE, SERVICES, Listeners
from murmuration.site.toml import Value, toml_text

COMPACT = "services"
# Hosts in namespaces boot in a second and nobody's workload runs on them: what a rack is given
# minutes for is given seconds here, so that a person sees it happen.
LAB_TIMERS: dict[str, Value] = {
    "heartbeat_soak_s": 1.0,
    "recovery_listen_s": 2.0,
    "reboot_offline_s": 15.0,
    "bmc_reset_hold_s": 5.0,
    "goenabled_s": 20.0,
    "host_services_s": 20.0,
    "worker_boot_s": 60.0,
    "controller_boot_s": 60.0,
    "rest_s": 5.0,
    "rest_heartbeat_s": 10.0,
    "dead_office_s": 0.0,
}
PREPARED = ("databases", "provision")  # what every service comes after


def site_toml(
    layout: Layout,
    settings: Settings,
    listeners: Listeners,
    *,
    bus_url: str,
    names: Sequence[str],
) -> str:
    """The configuration every part of the site reads; `names` are those it is reached by."""
    secure = listeners[HTTPS]
    listen = {service: listeners[f"{service}.http"].address for service in SERVICES}
    return toml_text(
        {
            "site": {"name": settings.name, "credentials_dir": str(layout.credentials)},
            "bus": {"url": bus_url, "ca": str(bundle(layout))},
            "store": {
                "host": str(layout.postgres_sockets),
                "port": int(settings.postgres_listen.rpartition(":")[2] or PORT),
            },
            "telemetry": {"log_level": settings.log_level},
            "gateway": {
                "listen": listen["gateway"],
                "tls_listen": secure.address,
                "names": [
                    f"[{name}]:{secure.port}" if ":" in name else f"{name}:{secure.port}"
                    for name in names
                ],
            },
            "sysinv": {"listen": listen["sysinv"], "accept": settings.accept},
            "mtce": {
                "listen": listen["mtce"],
                "udp_listen": listeners[PULSE].address,
                **LAB_TIMERS,
            },
            "fm": {"listen": listen["fm"]},
        }
    )


def provision_spec(layout: Layout) -> ProcessSpec:
    """The work that makes every stream and bucket as declared; repeatable."""
    return ProcessSpec(
        name="provision",
        argv=(sys.executable, "-m", "murmuration.bus.provision"),
        group=Group.TASKS,
        environment={"MUR_CONFIG": str(layout.site_toml)},
        after=("nats",),
        once=True,
    )


def service_specs(layout: Layout, listeners: Listeners, *, compact: bool) -> list[ProcessSpec]:
    """The services; a service is ready when its /readyz says so."""
    if not compact:
        return [_service(layout, listeners, name) for name in SERVICES]
    probes = [_probe(listeners, name) for name in SERVICES]
    return [
        ProcessSpec(
            name=COMPACT,
            argv=(sys.executable, "-m", "murmuration.site.compact"),
            group=Group.SERVICES,
            environment={"MUR_CONFIG": str(layout.site_toml)},
            sockets=tuple(pair for name in SERVICES for pair in listeners.of(name)),
            after=PREPARED,
            ready=AllReady(probes),
        )
    ]


def _service(layout: Layout, listeners: Listeners, name: str) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", f"murmuration.{name}"),
        group=Group.SERVICES,
        environment={"MUR_CONFIG": str(layout.site_toml)},
        sockets=listeners.of(name),
        after=PREPARED,
        ready=_probe(listeners, name),
    )


def _probe(listeners: Listeners, name: str) -> HttpReady:
    return HttpReady(LOOPBACK, listeners[f"{name}.http"].port)


class AllReady:
    """All of several are ready."""

    def __init__(self, probes: list[HttpReady]) -> None:
        self._probes = probes

    @property
    def reason(self) -> str:
        """What the first of them that is not ready said."""
        return next((probe.reason for probe in self._probes if probe.reason), "")

    async def __call__(self) -> bool:
        """Ask each in turn."""
        for probe in self._probes:
            if not await probe():
                return False
        return True
