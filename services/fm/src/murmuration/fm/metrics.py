"""What fm counts, read when it is scraped; names as Prometheus has them."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from murmuration.fm.handlers.intake import Counts


class FmCollector(Collector):
    """Figures of the intake since this replica started."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        for name, what, value in (
            (
                "transitions",
                "alarms raised, changed or cleared, and logs",
                self._counts.transitions,
            ),
            ("repeats", "raises that only counted", self._counts.counted),
            ("rejected", "messages that were refused", self._counts.rejected),
        ):
            yield CounterMetricFamily(f"mur_fm_{name}", what, value=value)
