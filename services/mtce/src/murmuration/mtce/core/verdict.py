"""A verdict: that one host fell silent, with the evidence."""

from dataclasses import dataclass

from murmuration.mtce.core.model import Observation
from murmuration.proto.ids import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One host found lost, and what was seen of it; `episode` is the one on record."""

    host: HostName
    episode: int
    seen: Observation
