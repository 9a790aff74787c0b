"""The platform's own health."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import clean, plain, table, word
from murmuration.proto.api import HealthView


def health_view(health: HealthView) -> Iterable[RenderableType]:
    """The sentence, then every part."""
    sentence = Text.assemble(word(health.status), ": ", clean(health.summary))
    if not health.items:
        return [sentence]
    parts = table(
        "PART",
        "STATUS",
        "INSTANCES",
        "RELAY LAG",
        "READ LAG",
        "PARKED",
        "REASON",
        flexible=("REASON",),
        right=("INSTANCES", "RELAY LAG", "READ LAG", "PARKED"),
    )
    for item in health.items:
        parts.add_row(
            plain(item.name),
            word(item.status),
            str(item.instances),
            _number(item.relay_lag),
            _number(item.consumer_lag),
            _number(item.parked),
            Text(clean(item.reason)),
        )
    return [sentence, Text(), parts]


def _number(count: int) -> Text:
    """A count that should be 0."""
    return Text(str(count), style="yellow" if count else "")
