"""One real site for all end-to-end tests, traced into a receiver of ours."""

from collections.abc import Iterator

import pytest
from tests.e2e.live.otlp import Receiver, receiver

from murmuration.testkit.site import Site, site


@pytest.fixture(scope="session")
def collector() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


@pytest.fixture(scope="session")
def live(collector: Receiver) -> Iterator[Site]:
    """A site with two controllers and two workers in namespaces, and this machine."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    }
    with site("--hosts", "controllers=1,workers=2", environment=environment) as running:
        yield running
