"""Why an alarm is there: the chain of its causes, each with its reason, and what the root explains.

Read from the database alone, so that every replica answers.
"""

from itertools import pairwise
from uuid import UUID

from murmuration.fm.core.entities import HOST, value
from murmuration.fm.core.reasons import reason
from murmuration.fm.core.rules import Rules
from murmuration.fm.core.topology import Topology
from murmuration.fm.store import correlation, places
from murmuration.kernel.errors import NotFound
from murmuration.proto.entities import components
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_operators import PAGE_MAX, Cause, GetWhy, Why
from murmuration.store.database import Database

CHAIN_MAX = 16  # as the reply allows; chains are as long as causes are deep, at most 5 today


class WhyQuery:
    """Answers GetWhy."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    async def answer(self, request: GetWhy) -> Why:
        """The chain of an active alarm. Raises NotFound."""
        try:
            uuid = UUID(request.uuid)
        except ValueError:
            raise NotFound(f"{request.uuid} is not the uuid of an alarm") from None
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            chain = await correlation.chain(connection, uuid, CHAIN_MAX)
            if not chain:
                raise NotFound(f"there is no active alarm {request.uuid}")
            root = chain[-1]
            explained = await correlation.explained(connection, UUID(root.uuid), PAGE_MAX)
            hosts = {value(components(alarm.entity), HOST) for alarm in chain}
            topology = Topology()
            for moved in await places.of(connection, sorted(hosts - {""})):
                topology.place(moved.host, moved.place)
        alarm = chain[0]
        causes = tuple(
            Cause(
                alarm=cause,
                rule=symptom.correlated_by,
                reason=reason(
                    self._rules.named(symptom.correlated_by),
                    cause=cause,
                    symptom=symptom,
                    topology=topology,
                ),
            )
            for symptom, cause in pairwise(chain)
        )
        return Why(
            alarm=alarm,
            causes=causes,
            sibling_count=_siblings(alarm, root, explained.alarms),
            impacted=explained.entities,
            impacted_count=explained.alarms,
        )


def _siblings(alarm: Alarm, root: Alarm, explained: int) -> int:
    """The other alarms of the same root: the root itself is none of them."""
    return 0 if alarm.uuid == root.uuid else max(0, explained - 1)
