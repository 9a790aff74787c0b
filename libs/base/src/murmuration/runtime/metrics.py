"""What every stateful service counts, read when it is scraped; names as Prometheus has them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from murmuration.bus.follower import Follower


class Numbers(Protocol):
    """The figures of a service's context."""

    relay_lag: int
    parked: int
    held: int
    active: bool


class BusCollector(Collector):
    """Lag and counts of relay and followers."""

    def __init__(self, followers: Sequence[Follower], numbers: Numbers) -> None:
        self._followers = followers
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        """The figures as they are now."""
        yield GaugeMetricFamily(
            "mur_relay_lag_rows", "outbox rows not yet on the bus", value=self._numbers.relay_lag
        )
        yield GaugeMetricFamily(
            "mur_parked_messages", "messages set aside", value=self._numbers.parked
        )
        yield GaugeMetricFamily(
            "mur_held_effects", "effects that wait for an operator", value=self._numbers.held
        )
        yield GaugeMetricFamily(
            "mur_active", "1 in the replica that writes", value=int(self._numbers.active)
        )
        lag = GaugeMetricFamily(
            "mur_consumer_lag_messages", "messages not yet taken in", labels=["stream"]
        )
        taken = CounterMetricFamily(
            "mur_consumer_messages", "messages by outcome", labels=["stream", "outcome"]
        )
        for follower in self._followers:
            lag.add_metric([follower.stream], follower.lag)
            counts = follower.counts
            for outcome in (
                "applied",
                "skipped",
                "unknown",
                "stale",
                "parked",
                "out_of_turn",
                "repeated",
                "expired",
                "gaps",
            ):
                taken.add_metric([follower.stream, outcome], getattr(counts, outcome))
        yield lag
        yield taken
