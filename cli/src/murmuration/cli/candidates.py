"""What the shell offers for a word that names a thing of the site. Silent when there is no site."""

import os

from murmuration.cli import sites
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failure
from murmuration.cli.http import Client
from murmuration.proto.api import AlarmList, HostList
from murmuration.proto.sysinv import Origin

TIMEOUT_S = 1.5  # a person has pressed Tab and waits


def candidates_of(noun: str) -> list[tuple[str, str]]:
    """(word, description) of each thing that `noun` (host, alarm or lab) can name."""
    try:
        site = sites.find(site=None, url=None, token=None, environ=os.environ)
        client = Client(site, timeout_s=TIMEOUT_S)
        if noun == "alarm":
            alarms = decode(client.get_all("/api/v1/alarms"), AlarmList).items
            return [(alarm.uuid, f"{alarm.severity} {alarm.entity}") for alarm in alarms]
        hosts = decode(client.get_all("/api/v1/hosts"), HostList).items
    except Failure:
        return []
    return [
        (host.name, f"{host.personality}, {host.availability}")
        for host in hosts
        if noun != "lab" or host.origin is not Origin.MACHINE
    ]
