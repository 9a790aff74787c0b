"""What fm counts, read when it is scraped; names as Prometheus has them."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from murmuration.fm import correlating
from murmuration.fm.handlers import intake


class FmCollector(Collector):
    """Figures of this replica since it started: intake, correlation, notifications."""

    def __init__(
        self,
        taken: intake.Counts,
        correlated: correlating.Counts,
        delivered: Counter[tuple[str, str]],
    ) -> None:
        """`delivered` counts by receiver and outcome."""
        self._taken = taken
        self._correlated = correlated
        self._delivered = delivered

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        taken, correlated = self._taken, self._correlated
        for name, what, value in (
            ("transitions", "alarms raised, changed or cleared, and logs", taken.transitions),
            ("repeats", "raises that only counted", taken.counted),
            ("rejected", "messages that were refused", taken.rejected),
            (
                "causes",
                "causes that were found, changed or taken back",
                correlated.causes,
            ),
            ("flaps", "marks of flapping that were set or taken off", correlated.flaps),
            ("correlation_loads", "times all active alarms were read anew", correlated.loads),
        ):
            yield CounterMetricFamily(f"mur_fm_{name}", what, value=value)
        yield GaugeMetricFamily(
            "mur_fm_correlated_alarms", "active alarms in correlation", value=correlated.alarms
        )
        deliveries = CounterMetricFamily(
            "mur_fm_deliveries",
            "notifications that were sent, failed and are tried again, or were given up",
            labels=("receiver", "outcome"),
        )
        for labels, count in sorted(self._delivered.items()):
            deliveries.add_metric(labels, count)
        yield deliveries
