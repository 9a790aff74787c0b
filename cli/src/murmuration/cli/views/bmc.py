"""A host out of band: access to its BMC, its sensors, and whether its workload may move."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, clean, group, instant, plain, table, word
from murmuration.cli.session import Session
from murmuration.proto.mtce_bmc import BmcSensor, BmcState, BmcView, Release
from murmuration.proto.sysinv import BmcProtocol, HostBmc

STATE_STYLES = {"critical": "red", "major": "bright_red", "minor": "yellow", "ok": "green"}


def bmc_view(view: BmcView, *, session: Session) -> Iterable[RenderableType]:
    """One BMC in full, or one sentence when the host has none."""
    if view.declared is None:
        none = (
            f"{clean(view.host)} has no BMC. Declare it with `mur host bmc set {clean(view.host)}`."
        )
        return [Text(none), *_release(view.release, session)]
    return [
        Text.assemble((clean(view.host), "bold"), "  BMC"),
        *group("Access", _access(view.declared, secret_stored=view.secret_stored)),
        *group("Now", _now(view.state, session)),
        *_sensors(view.sensors),
        *_release(view.release, session),
    ]


def _access(bmc: HostBmc, *, secret_stored: bool) -> list[tuple[str, RenderableType]]:
    ports = [] if bmc.protocol is BmcProtocol.IPMI else [f"Redfish {bmc.redfish_port}"]
    ports += [] if bmc.protocol is BmcProtocol.REDFISH else [f"IPMI {bmc.ipmi_port}"]
    rows: list[tuple[str, RenderableType]] = [
        ("Address", plain(f"{bmc.address}, {', '.join(ports)}")),
        ("User", plain(bmc.user)),
        ("Password", plain("stored" if secret_stored else "missing: set it again")),
        ("Trust", plain(f"{bmc.trust.value} {bmc.pin}".rstrip())),
    ]
    return [*rows, *([("System", plain(bmc.system))] if bmc.system else [])]


def _now(state: BmcState | None, session: Session) -> list[tuple[str, RenderableType]]:
    if state is None:
        return [("Reachable", plain("not looked at yet"))]
    machine = " ".join(part for part in (state.product, state.serial or state.uuid) if part)
    since = f"{age(state.changed_at, session.now())} ago, "
    since += instant(session.moment(state.changed_at))
    rows: list[tuple[str, RenderableType]] = [
        ("Reachable", plain(f"yes, by {state.protocol.value}" if state.reachable else "no")),
        ("Power", word(state.power)),
        ("Machine", plain(machine)),
        ("Firmware", plain(state.firmware)),
        ("Because", plain(state.reason)),
        ("Since", plain(since)),
    ]
    return rows


def _sensors(sensors: tuple[BmcSensor, ...]) -> list[RenderableType]:
    """Sensors with the value that their state was found at."""
    if not sensors:
        return []
    rows = table("  SENSOR", "GROUP", "STATE", "VALUE", flexible=("  SENSOR",), right=("VALUE",))
    rows.header_style = "dim"
    for sensor in sensors:
        value = "" if sensor.value is None else f"{sensor.value:g} {sensor.unit}".rstrip()
        state = Text(sensor.state.value, style=STATE_STYLES.get(sensor.state.value, "dim"))
        rows.add_row(plain(f"  {sensor.name}"), plain(sensor.group), state, plain(value))
    return [Text("Sensors, as of their last change of state", style="bold"), rows]


def _release(release: Release | None, session: Session) -> list[RenderableType]:
    if release is None:
        return []
    at = "no time is known yet"
    if release.at is not None:
        at = instant(session.moment(release.at))
    proof = release.proof.value if release.proof is not None else "none yet"
    rows: list[tuple[str, RenderableType]] = [
        ("May move", plain(at)),
        ("Proof", plain(proof)),
        ("Because", plain(release.reason)),
    ]
    return group("Workload", rows)
