"""The composition root: brings a site up, keeps it, answers about it, and takes it down.

The order of a bring-up: sockets (so that a port in use stops it before anything runs), then side by
side PostgreSQL and what must be prepared (network, secrets, configuration), then NATS, then work
(databases, streams), then services, and agents with them. Whatever ends it, everything is stopped.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from murmuration.site import (
    certificates,
    hosts,
    leftovers,
    nats,
    network,
    postgres,
    readiness,
    services,
    syscalls,
)
from murmuration.site.certificates import Certificates
from murmuration.site.errors import NotReady, Refused
from murmuration.site.faults import Fault, Lab
from murmuration.site.helpers import Helper
from murmuration.site.hosts import HostPlan, Meeting
from murmuration.site.layout import Layout, write_private
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.model import Simulator
from murmuration.site.network import Network
from murmuration.site.probes import Door
from murmuration.site.process import MARK
from murmuration.site.report import Report
from murmuration.site.settings import Settings
from murmuration.site.sockets import HTTPS, LOOPBACK, PULSE, PULSE_OFFSET, Listeners, free_port
from murmuration.site.supervisor import Supervisor

LOOK_EVERY_S = 0.1
SAY_EVERY_S = 1.0
EVERYWHERE = ("0.0.0.0", "::")  # any address of this machine, and none that a client uses
CUT = {"both": ("from", "to"), "from": ("from",), "to": ("to",)}


class Site:
    """One site of one supervisor process. `live` is its whole life."""

    def __init__(self, layout: Layout, settings: Settings, report: Report) -> None:
        self._layout = layout
        self._settings = settings
        self._report = report
        self._began = time.monotonic()
        self._since = datetime.now(UTC)
        self._listeners = Listeners()
        self._network: Network | None = None
        self._hosts: tuple[HostPlan, ...] = ()
        self._leaves: dict[str, list[str]] = {}
        self._boots: dict[str, str] = {}
        self._meeting = Meeting(bus_url="", pulse_nats="", pulse_udp="")
        self._certificates: Certificates | None = None
        self._token = ""
        self._lab: Lab | None = None
        self._simulator = Simulator(
            hosts.simulator_socket(layout), lambda: self._lab.all_faults() if self._lab else ()
        )
        self.ready = False
        self.journal = Journal(self._log_of("supervisor"))
        environment = {**os.environ, MARK: str(layout.state)}
        self.supervisor = Supervisor(
            changes=Changes(), journal=self.journal, environment=environment, log_of=self._log_of
        )
        self._helper = Helper(environment=environment, log=self._log_of("helpers"))

    def _log_of(self, name: str) -> LogFile:
        return LogFile(
            self._layout.log_of(name),
            size_bytes_max=self._settings.log_bytes_max,
            older_count=self._settings.log_older_count,
        )

    @property
    def url(self) -> str:
        """The gateway's URL for a browser on this machine."""
        return f"http://{LOOPBACK}:{self._listeners['gateway.http'].port}"

    @property
    def api(self) -> str:
        """The gateway's URL for programs: TLS, also on this machine."""
        secure = self._listeners[HTTPS]
        if self._settings.tls_address in EVERYWHERE:
            return f"https://{LOOPBACK}:{secure.port}"
        return f"https://{secure.address}"

    # ── bringing it up ────────────────────────────────────────────────────────────────────────

    def open_door(self) -> None:
        """Take the ports. Raises Refused; nothing runs yet."""
        hosts.check_count(len(self._settings.hosts), simulated=not self.with_namespaces)
        self._listeners.open_http(self._settings.port, tls_address=self._settings.tls_address)

    @property
    def with_namespaces(self) -> bool:
        """Whether the hosts are namespaces. Raises Refused when they should and cannot be."""
        if self._settings.simulated or os.geteuid() != 0 or not self._settings.hosts:
            return False
        for number, name in (
            (syscalls.CAP_NET_ADMIN, "NET_ADMIN"),
            (syscalls.CAP_SYS_ADMIN, "SYS_ADMIN"),
        ):
            if not syscalls.has_capability(number):
                raise Refused(
                    f"Namespace hosts need the capability CAP_{name}, which this root lacks.",
                    "Grant it (for a container: NET_ADMIN and SYS_ADMIN), or use --simulated.",
                )
        return True

    async def bring_up(self) -> None:
        """Start everything and return when it is ready. Raises Refused, NotReady."""
        async with asyncio.TaskGroup() as group:
            preparing = group.create_task(self._prepare(), name="prepare")
            group.create_task(self._bring_up_store(preparing), name="store")
        self._meet()
        bus_host, bus_port = _address(self._meeting.bus_url)
        inside = self._network.site_path if self._network else None
        specs = [
            nats.server_spec(self._layout, host=bus_host, port=bus_port, network=inside),
            services.provision_spec(self._layout),
            postgres.databases_spec(self._place),
            *services.service_specs(self._layout, self._listeners, compact=self._settings.compact),
        ]
        models = [plan for plan in self._hosts if plan.origin == hosts.SIMULATED]
        for plan in self._hosts:
            self._boots[plan.name] = hosts.boot(self._layout, plan, self._meeting)
            if plan not in models:
                specs += hosts.agent_specs(self._layout, plan)
        if models:
            specs.append(
                hosts.simulator_spec(self._layout, models, self._meeting, ready=self._simulator)
            )
        self.supervisor.add(specs)
        self._write_site_json()
        await self._until_ready()
        self.ready = True
        self.journal.log("site.ready", seconds=round(time.monotonic() - self._began, 2))

    async def _bring_up_store(self, preparing: "asyncio.Task[None]") -> None:
        settings = self._settings
        self._place = place = postgres.choose(
            self._layout, listen=settings.postgres_listen, binaries=settings.postgres_binaries
        )
        first = postgres.initdb_spec(place)
        if first is not None:
            self._report.say("PostgreSQL: making the cluster")
            await self._helper.run(first)
        postgres.adopt(place)
        if place.address:
            await asyncio.wait((preparing,))  # it makes the certificate
        postgres.configure(place)
        self.supervisor.add([postgres.server_spec(place)])

    async def _prepare(self) -> None:
        make: dict[str, Any] | None = None
        port, pulse_port = network.NATS_PORT, network.NATS_PULSE_PORT
        if self.with_namespaces:
            self._report.say(f"joining {len(self._settings.hosts)} namespaces to a bridge")
            make = self._make_request()
        else:
            port, pulse_port = free_port(LOOPBACK, port), free_port(LOOPBACK, pulse_port)
        request = {
            "network": make,
            "credentials": str(self._layout.credentials),
            "leaves": {name: self._names() for name in self._servers()},
            "joining": hosts.joining(self._layout, self._with_agents()),
            "nats": {
                "host": "" if make else LOOPBACK,
                "port": port,
                "pulse_port": pulse_port,
                "store": str(self._layout.nats),
                "config": str(nats.config_file(self._layout)),
            },
        }
        answer = await self._helper.ask("murmuration.site.prepare", request)
        found = answer["network"]
        self._network = network.from_json(json.dumps(found)) if found else None
        host = self._network.site_address if self._network else LOOPBACK
        self._leaves = answer["leaves"]
        self._meeting = Meeting(
            bus_url=f"tls://{host}:{port}", pulse_nats=f"{host}:{pulse_port}", pulse_udp=""
        )
        self._token = (self._layout.credentials / "gateway.token").read_text().strip()

    def _servers(self) -> tuple[str, ...]:
        """Who needs a certificate."""
        return ("nats", "gateway", *(("postgres",) if self._settings.postgres_listen else ()))

    def _names(self) -> list[str]:
        """What the site's certificates stand for."""
        settings = self._settings
        own = [LOOPBACK, "::1", "localhost", hosts.machine_name(settings.hosts)]
        database = settings.postgres_listen.rpartition(":")[0].strip("[]")
        also = [settings.tls_address, *((database,) if database else ()), *settings.tls_names]
        found = dict.fromkeys([*own, *also])
        return [name for name in found if name not in EVERYWHERE]

    def _with_agents(self) -> list[str]:
        """Names of the hosts that have agents of their own: all that are not simulated."""
        named = list(self._settings.hosts)
        return [*(named if self.with_namespaces else ()), hosts.machine_name(named)]

    def _make_request(self) -> dict[str, Any]:
        owner = Network(
            prefix="",
            subnet=0,
            hosts=(),
            state=str(self._layout.state),
            owner_pid=os.getpid(),
            owner_started=network.process_started(os.getpid()),
        )
        return {
            "op": "make",
            "owner": asdict(owner),
            "prefix": self._settings.prefix or "",
            "token": self._layout.token,
            "hosts": list(self._settings.hosts),
        }

    def _meet(self) -> None:
        """Open the heartbeats' socket, plan the hosts, and write the configuration."""
        if self._network is not None:
            self._listeners.open_pulse(
                self._network.site_address, network.PULSE_PORT, network=self._network.site_path
            )
        else:
            first = self._settings.port
            self._listeners.open_pulse(LOOPBACK, first + PULSE_OFFSET if first else 0, network=None)
        self._meeting = replace(self._meeting, pulse_udp=self._listeners[PULSE].address)
        self._hosts = hosts.plan_hosts(self._settings.hosts, self._network)
        text = services.site_toml(
            self._layout,
            self._settings,
            self._listeners,
            bus_url=self._meeting.bus_url,
            names=self._names(),
        )
        write_private(self._layout.site_toml, text)
        self._lab = Lab(
            {plan.name: plan for plan in self._hosts},
            keepers=self.supervisor.keepers,
            journal=self.journal,
            wire=self._wire,
            reboot=self._reboot,
            model=self._simulator.tell,
        )

    def _write_site_json(self) -> None:
        found = {
            "name": self._settings.name,
            "url": self.url,
            "token": self._token,
            "api": self.api,
            "ca": str(certificates.bundle(self._layout)),
            "control": str(self._layout.control),
            "pid": os.getpid(),
            "nats_url": self._meeting.bus_url,
            "namespaces": self._network is not None,
            "hosts": [plan.name for plan in self._hosts],
        }
        write_private(self._layout.site_json, json.dumps(found, indent=1) + "\n")

    async def _until_ready(self) -> None:
        deadline = self._began + self._settings.ready_timeout_s
        said, said_at = "", 0.0
        while waiting := await self._waiting():
            readiness.check_configuration(self.supervisor.keepers)
            now = time.monotonic()
            if now > deadline:
                raise NotReady(
                    f"Not ready after {self._settings.ready_timeout_s:.0f} s: "
                    f"{readiness.explain(waiting)}.",
                    f"Logs are in {self._layout.logs}.",
                )
            line = readiness.explain(waiting)
            if line != said and now - said_at >= SAY_EVERY_S:
                self._report.say(f"waiting for {line}")
                said, said_at = line, now
            await asyncio.sleep(LOOK_EVERY_S)

    async def _waiting(self) -> list[str]:
        waiting = readiness.unready_processes(self.supervisor.keepers)
        if waiting:
            return waiting
        try:
            async with asyncio.timeout(5):
                return await readiness.unheard_hosts(
                    LOOPBACK,
                    self._listeners["gateway.http"].port,
                    token=self._token,
                    names=[plan.name for plan in self._hosts],
                    heartbeat_since=self._since if self._settings.accept == "automatic" else None,
                )
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            return [f"the gateway's list of hosts ({type(error).__name__})"]

    def report_ready(self) -> None:
        """Tell whoever waits for it."""
        self._report.ready(f"{self.url}/?token={self._token}", time.monotonic() - self._began)

    # ── while it lives ────────────────────────────────────────────────────────────────────────

    async def _wire(self, plan: HostPlan, faults: "frozenset[Fault]", direction: str) -> None:
        assert self._network is not None, "only namespace hosts have wires"
        request = {
            "op": "faults",
            "network": asdict(self._network),
            "host": plan.name,
            "link_down": Fault.LINK_DOWN in faults,
            "cut": CUT[direction] if Fault.PARTITION in faults else (),
        }
        await self._helper.ask("murmuration.site.lab", request)

    def _reboot(self, plan: HostPlan) -> None:
        self._boots[plan.name] = hosts.boot(self._layout, plan, self._meeting)

    async def act(self, action: str, host: str, direction: str) -> str:
        """A lab action; one sentence of what holds now. Raises Refused."""
        if self._lab is None:
            raise Refused("The site has no hosts yet.", "Wait until it is ready.")
        return await self._lab.act(action, host, direction=direction)

    async def users(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make, list or revoke NATS users. Raises Refused."""
        wanted = {name: str(request.get(name, "")) for name in ("action", "role", "name", "days")}
        if wanted["action"] not in ("create", "list", "revoke") or not self.ready:
            raise Refused("The site cannot do that to NATS users now.", "Wait until it is ready.")
        more = {
            "credentials": str(self._layout.credentials),
            "url": self._meeting.bus_url,
            "ca": str(certificates.bundle(self._layout)),
        }
        return await self._helper.ask("murmuration.site.users", {**wanted, **more})

    async def certs(self, action: str, *, hurry: bool) -> dict[str, Any]:
        """List, renew or rotate the site's certificates. Raises Refused."""
        if self._certificates is None or not self.ready:
            raise Refused("The site has no certificates to show yet.", "Wait until it is ready.")
        return await self._certificates.act(action, hurry=hurry)

    async def keep_certificates(self) -> None:
        """Renew them in time, as long as the site lives."""
        doors = {
            "nats": Door(*_address(self._meeting.bus_url)),
            "gateway": Door(*_address(self.api)),
        }
        if self._place.address:
            doors["postgres"] = Door(self._place.address, self._place.port, postgres=True)
        self._certificates = Certificates(
            self._layout,
            leaves=self._leaves,
            doors=doors,
            helper=self._helper,
            keepers=self.supervisor.keepers,
            journal=self.journal,
            hand_on=self._hand_on,
        )
        await self._certificates.run()

    def _hand_on(self, changed: Sequence[str]) -> None:
        """Give PostgreSQL its certificate, and the hosts of this machine what to trust."""
        if "postgres" in changed:
            postgres.show_certificate(self._place)
        bundle = certificates.bundle(self._layout)
        for plan in self._hosts:
            certificates.copy(bundle, hosts.folder(self._layout, plan) / hosts.BUNDLE)

    def status(self) -> dict[str, Any]:
        """What runs, for the control socket."""
        return {
            "name": self._settings.name,
            "ready": self.ready,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "url": self.url,
            "nats_url": self._meeting.bus_url,
            "namespaces": self._network is not None,
            "prefix": self._network.prefix if self._network else "",
            "hosts": [self._host_status(plan) for plan in self._hosts],
            "processes": [
                {
                    "name": keeper.spec.name,
                    "phase": keeper.phase.value,
                    "pid": keeper.pid,
                    "restarts": keeper.restart_count,
                    "last_exit": keeper.last_exit,
                    "waits_for": keeper.waits_for if not keeper.pid else [],
                    "log": str(keeper.log.path),
                }
                for keeper in self.supervisor.keepers.values()
            ],
        }

    def _host_status(self, plan: HostPlan) -> Mapping[str, Any]:
        return {
            "name": plan.name,
            "personality": plan.personality,
            "origin": plan.origin,
            "observe_only": plan.origin == hosts.MACHINE,
            "address": plan.address,
            "boot_id": self._boots.get(plan.name, ""),
            "faults": self._lab.faults_of(plan.name) if self._lab else [],
        }

    # ── taking it down ────────────────────────────────────────────────────────────────────────

    async def take_down(self) -> None:
        """Stop what runs, in order, and remove what stands for it."""
        self.ready = False
        await self.supervisor.stop()
        if left := leftovers.end(self._layout.state):
            self.journal.log("site.leftovers_killed", count=left)
        self._listeners.close()
        self._layout.site_json.unlink(missing_ok=True)
        if any(each.state == str(self._layout.state) for each in network.records()):
            request = {"op": "remove", "state": str(self._layout.state)}
            await self._helper.ask("murmuration.site.lab", request)
        self.journal.log("site.stopped")


def _address(url: str) -> tuple[str, int]:
    """(host, port) of a URL of ours."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)
