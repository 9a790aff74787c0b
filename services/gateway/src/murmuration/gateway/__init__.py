"""The gateway: read models projected from events, HTTP and SSE, commands on behalf of people.

It has no facts of its own. Invariants: a read never waits for another service; a write is one
command to the fact's owner; every replica can continue what another began, for positions are
those of the senders, not ours.
"""
