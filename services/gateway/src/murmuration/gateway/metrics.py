"""What the gateway counts, read when it is scraped."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from murmuration.gateway.handlers.live import LiveSite
from murmuration.kernel.clock import Clock


class CertificateCollector(Collector):
    """How long the site's certificates are good."""

    def __init__(self, ends: Callable[[], Mapping[str, datetime]], clock: Clock) -> None:
        self._ends = ends
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Seconds to the end of each, below 0 after it."""
        left = GaugeMetricFamily(
            "mur_certificate_expires_seconds", "seconds to its end", labels=["certificate"]
        )
        now = self._clock.now()
        for name, end in self._ends().items():
            left.add_metric([name], (end - now).total_seconds())
        yield left


class LiveCollector(Collector):
    """Figures of the read model and its listeners."""

    def __init__(self, live: LiveSite) -> None:
        self._live = live

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        live = self._live
        hub = live.hub
        gauges = (
            ("mur_gateway_hosts", "hosts shown", len(live.model.hosts)),
            ("mur_gateway_alarms", "active alarms shown", len(live.model.alarms)),
            ("mur_gateway_events_kept", "events in the ring", len(live.model.ring)),
            ("mur_gateway_listeners", "open event streams", hub.client_count),
            ("mur_gateway_loaded", "1 once the state is loaded", int(live.loaded.is_set())),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=value)
        counters = (
            ("mur_gateway_chunks", "chunks published to listeners", hub.counts.chunks),
            ("mur_gateway_listeners_dropped", "listeners cut off as too slow", hub.counts.dropped),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(name, text, value=value)
        lag = GaugeMetricFamily(
            "mur_consumer_lag_messages", "messages not yet taken in", labels=["stream"]
        )
        taken = CounterMetricFamily(
            "mur_consumer_messages", "messages by outcome", labels=["stream", "outcome"]
        )
        for sender, counts in live.counts.items():
            lag.add_metric([sender.upper()], counts.behind)
            taken.add_metric([sender.upper(), "applied"], counts.applied)
            taken.add_metric([sender.upper(), "stale"], counts.ignored)
        yield lag
        yield taken
