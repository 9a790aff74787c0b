"""Hosts: the list, and one in full. A host that is no real machine is labelled wherever shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import (
    STYLES,
    age,
    availability_sum,
    clean,
    count_texts,
    counted,
    group,
    instant,
    is_one_line,
    is_wide,
    plain,
    size_text,
    table,
    word,
)
from murmuration.cli.session import Session
from murmuration.proto.api import HostView
from murmuration.proto.mtce import Availability
from murmuration.proto.sysinv import Administrative, Admission, Link, Origin

NO_MAC = "00:00:00:00:00:00"  # what a loopback says
ORIGINS = {
    Origin.MACHINE: "a machine",
    Origin.NAMESPACE: "a network namespace with real links and real agents",
    Origin.SIMULATED: "simulated: a model, not a machine",
    Origin.UNKNOWN: "unknown",
}


def host_table(hosts: Sequence[HostView], *, now: datetime) -> Iterable[RenderableType]:
    """The list and its sum, or one sentence when there is nothing."""
    if not hosts:
        return [Text("No hosts. A host appears when its agent starts.")]
    wide = is_wide()
    columns = ["HOST", "PERSONALITY", "ADMIN", "OPER", "AVAIL", "ALARMS", "ORIGIN"]
    if wide:
        columns += ["HEARD", "ADDRESS"]
    rows = table(*columns, flexible=("HOST", "ADDRESS"))
    for host in hosts:
        cells = [
            _name(host),
            plain(host.personality),
            word(host.administrative),
            word(host.operational),
            word(host.availability),
            _alarms(host),
            _origin(host),
        ]
        rows.add_row(*cells, *([_heard(host, now), plain(host.address)] if wide else []))
    return [rows] if is_one_line() else [rows, Text(), *_sums(hosts)]


def host_view(host: HostView, *, session: Session) -> Iterable[RenderableType]:
    """One host in full: state, identity, what it is made of, links."""
    title = Text.assemble((clean(host.name), "bold"), f"  {clean(host.personality)}")
    if label := _label(host):
        title.append(f"  [{label}]", style="magenta")
    return [
        title,
        *group("State", _state(host, session)),
        *group("Identity", _identity(host, session)),
        *group("Made of", _facts(host)),
        *_links(host.links),
    ]


_NO_HALF = (Availability.NOT_INSTALLED, Availability.UNKNOWN)


def _state(host: HostView, session: Session) -> list[tuple[str, RenderableType]]:
    now = session.now()
    rows: list[tuple[str, RenderableType]] = [
        ("Administrative", _intended(host)),
        ("Operational", word(host.operational)),
        ("Availability", word(host.availability)),
    ]
    if host.subfunction_availability not in _NO_HALF:
        states = (host.subfunction_operational, host.subfunction_availability)
        rows.append(("As a worker", Text(", ").join(word(state) for state in states)))
    if host.task:
        rows.append(("Task", _task(host, session)))
    if host.health:
        rows.append(("Degraded by", Text(", ".join(cause.value for cause in host.health))))
    rows.append(("Because", plain(host.reason)))
    if host.changed_at is not None:
        changed = f"{age(host.changed_at, now)} ago, {instant(session.moment(host.changed_at))}"
        rows.append(("Since", plain(changed)))
    heard = "never heard"
    if host.last_heard_at is not None:
        heard = f"last heard {age(host.last_heard_at, now)} ago"
    beat = Text.assemble(word(host.heartbeat), f", {heard}, every {host.pulse_period_ms} ms")
    rows.append(("Heartbeat", beat))
    rows.append(("Alarms", Text(", ").join(count_texts(host.alarms)) or plain("none")))
    return rows


def _task(host: HostView, session: Session) -> Text:
    """The work in progress, and when it goes on whatever comes."""
    text = word(host.task_text or host.task, style="cyan")
    if host.deadline_at is not None:
        text.append(f", until {instant(session.moment(host.deadline_at))} at most", style="dim")
    return text


def _identity(host: HostView, session: Session) -> list[tuple[str, RenderableType]]:
    origin = ORIGINS[host.origin]
    if host.observe_only:
        origin += ", observe-only: its agents refuse every change"
    rows: list[tuple[str, RenderableType]] = [
        ("Origin", plain(origin)),
        ("Admission", word(host.admission)),
        ("Address", plain(host.address)),
        ("Index", plain(host.index)),
        ("Boot", plain(host.boot_id)),
    ]
    if host.reported_at is not None:
        ago = age(host.reported_at, session.now())
        rows.append(("Reported", plain(f"{ago} ago, {instant(session.moment(host.reported_at))}")))
    return rows


def _facts(host: HostView) -> list[tuple[str, RenderableType]]:
    facts = host.facts
    cpu = " ".join(part for part in (f"{facts.cpu_count} x", facts.cpu_model) if part)
    memory = size_text(facts.memory_bytes)
    if facts.numa_node_count > 1:
        memory += f" on {counted(facts.numa_node_count, 'NUMA node')}"
    told = (
        ("Machine", " ".join(part for part in (facts.vendor, facts.product) if part)),
        ("Serial", facts.serial),
        ("Firmware", facts.firmware),
        ("Processors", cpu if facts.cpu_count else ""),
        ("Memory", memory if facts.memory_bytes else ""),
        ("System", " ".join(part for part in (facts.os, facts.architecture) if part)),
        ("Kernel", facts.kernel),
        ("Virtualization", facts.virtualization),
    )
    return [(label, plain(value)) for label, value in told if value]


def _links(links: Sequence[Link]) -> list[RenderableType]:
    if not links:
        return []
    rows = table(
        "  LINK",
        "KIND",
        "STATE",
        "SPEED",
        "MTU",
        "ADDRESSES",
        flexible=("ADDRESSES",),
        right=("SPEED", "MTU"),
    )
    rows.header_style = "dim"
    for link in links:
        rows.add_row(
            plain(f"  {link.name}"),
            plain(link.kind),
            _link_state(link),
            plain(_speed(link.speed_mbps)),
            plain(link.mtu_bytes or ""),
            _addresses(link),
        )
    return [Text("Links", style="bold"), rows]


def _addresses(link: Link) -> Text:
    """The hardware address, if it says something, and those on it."""
    mac = [] if link.mac == NO_MAC else [link.mac]
    found = [clean(address) for address in (*mac, *link.addresses) if address]
    return Text((", " if is_one_line() else "\n").join(found)) if found else plain("")


def _speed(speed_mbps: int) -> str:
    if speed_mbps >= 1_000:
        return f"{speed_mbps / 1_000:g} Gb/s"
    return f"{speed_mbps} Mb/s" if speed_mbps else ""


def _link_state(link: Link) -> Text:
    if link.oper_up:
        return Text("up", style="green")
    return Text("no carrier", style="red") if link.admin_up else Text("off", style="dim")


def _intended(host: HostView) -> Text:
    text = word(host.administrative)
    if host.intended_administrative not in (host.administrative, Administrative.UNKNOWN):
        text = Text.assemble(text, f", {host.intended_administrative.value} is intended")
    return text


def _name(host: HostView) -> Text:
    """The name, and below it what an operator must know before touching the host."""
    name = plain(host.name, style="bold")
    if not is_one_line():
        if host.admission is Admission.DISCOVERED:
            name.append("\n discovered", style="not bold cyan")
        if host.observe_only:
            name.append("\n observe-only", style="not bold magenta")
    return name


def _alarms(host: HostView) -> Text:
    texts = count_texts(host.alarms)
    return Text(", " if is_one_line() else "\n").join(texts) if texts else plain("")


def _heard(host: HostView, now: datetime) -> Text:
    if host.last_heard_at is None:
        return plain("never")
    return Text(age(host.last_heard_at, now), style=STYLES.get(host.heartbeat.value, ""))


def _label(host: HostView) -> str:
    """What must be said of a host that is no ordinary machine; empty for one that is."""
    words = [] if host.origin is Origin.MACHINE else [host.origin.value]
    return ", ".join([*words, *(["observe-only"] if host.observe_only else [])])


def _origin(host: HostView) -> Text:
    style = "" if host.origin is Origin.MACHINE else "magenta"
    words = [clean(host.origin)]
    if is_one_line():
        words += ["observe-only"] if host.observe_only else []
        words += ["discovered"] if host.admission is Admission.DISCOVERED else []
    return Text(", ".join(words), style=style)


def _sums(hosts: Sequence[HostView]) -> list[Text]:
    counts = Counter(host.availability.value for host in hosts)
    sums = [Text.assemble(availability_sum(len(hosts), counts), ".")]
    waiting = [host.name for host in hosts if host.admission is Admission.DISCOVERED]
    if waiting:
        wait = "waits" if len(waiting) == 1 else "wait"
        more = "" if len(waiting) == 1 else " and so on"
        sums.append(
            Text(
                f"{counted(len(waiting), 'host')} {wait} to be accepted: "
                f"`mur host accept {clean(waiting[0])}`{more}."
            )
        )
    return sums
