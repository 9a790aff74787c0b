"""When the next heartbeat is due: an absolute schedule, without drift and without bursts."""


def next_due(due_ns: int, now_ns: int, period_ns: int) -> int:
    """The instant after `due_ns`, which has just been served at `now_ns`.

    A little lateness is not carried on (the grid stays). Whoever was late by a period or more
    begins a new grid now: what was missed is missed, and never sent in a burst.
    """
    following = due_ns + period_ns
    return following if following > now_ns else now_ns + period_ns


def steps_per_period(period_ms: int, step_ms_max: int) -> int:
    """Into how many equal waits a period is cut so that none is longer than `step_ms_max`."""
    return -(-period_ms // step_ms_max)
