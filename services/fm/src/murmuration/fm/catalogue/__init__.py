"""The catalogue as it is shipped: `events.csv`, one id a line.

Columns: severities and service by letter (C critical, M major, m minor, w warning; service: where
it affects service), flags (S an inhibiting alarm may mask it, I it inhibits), management and
degrade (from which severity on it counts, or none), repair (a word of core.catalogue.REPAIRS),
context (the product that raises it).
"""

import csv
from collections.abc import Mapping
from importlib.resources import files

from murmuration.fm.core.catalogue import parse
from murmuration.proto.fm_operators import CatalogueEntry


def shipped() -> Mapping[str, CatalogueEntry]:
    """The shipped catalogue by id. Raises CatalogueError for a file that is not sound."""
    text = files("murmuration.fm.catalogue").joinpath("events.csv").read_text()
    return parse(csv.DictReader(text.splitlines()))
