"""What mtce counts, read when it is scraped; names as Prometheus has them."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from murmuration.mtce.core.model import Condition, HostStep
from murmuration.mtce.monitor import Monitor
from murmuration.proto.mtce import HostStateChanged


class Transitions:
    """Counts of the host machine: steps taken, and hosts by condition."""

    def __init__(self) -> None:
        self.steps: Counter[tuple[str, str]] = Counter()
        self.hosts: Counter[str] = Counter()

    def count(self, step: HostStep) -> None:
        """One step that was committed."""
        for event in step.events:
            if isinstance(event, HostStateChanged) and step.state is not None:
                self.steps[event.previous, str(step.state.condition)] += 1

    def conditions(self, found: Iterable[Condition]) -> None:
        """How many hosts are in which condition, as last read."""
        self.hosts = Counter({str(each): count for each, count in Counter(found).items()})


class MonitorCollector(Collector):
    """Figures of attendance and of the host machine."""

    def __init__(self, monitor: Monitor, transitions: Transitions) -> None:
        self._monitor = monitor
        self._transitions = transitions

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        attendance = self._monitor.attendance
        frames = CounterMetricFamily(
            "mur_pulse_frames", "frames by path and outcome", labels=["path", "outcome"]
        )
        for (path, taken), count in attendance.counts.items():
            frames.add_metric([path.name.lower(), taken.value], count)
        missing = CounterMetricFamily(
            "mur_pulse_frames_missing", "frames that never came, by sequence", labels=["path"]
        )
        for path, count in attendance.missing_count.items():
            missing.add_metric([path.name.lower()], count)
        yield frames
        yield missing
        yield GaugeMetricFamily("mur_pulse_hosts_watched", "hosts watched", value=len(attendance))
        yield CounterMetricFamily(
            "mur_monitor_late_checks", "checks that ran late", value=attendance.lag_count
        )
        yield CounterMetricFamily(
            "mur_monitor_late_seconds", "time excused for it", value=attendance.lag_ns / 1e9
        )
        yield CounterMetricFamily(
            "mur_monitor_reach_lost", "times the own reach was lost", attendance.reach_lost_count
        )
        yield GaugeMetricFamily(
            "mur_monitor_reach_doubted", "1 while it is doubted", value=int(bool(attendance.doubt))
        )
        yield GaugeMetricFamily(
            "mur_verdicts_pending", "hosts to settle", value=len(self._monitor.pending)
        )
        yield from self._machine()

    def _machine(self) -> Iterable[Metric]:
        steps = CounterMetricFamily(
            "mur_host_transitions", "steps of the host machine", labels=["previous", "state"]
        )
        for (previous, state), count in self._transitions.steps.items():
            steps.add_metric([previous, state], count)
        hosts = GaugeMetricFamily("mur_hosts", "hosts by state", labels=["state"])
        for condition in Condition:
            hosts.add_metric([str(condition)], self._transitions.hosts[str(condition)])
        yield steps
        yield hosts
