"""When the watchdog is petted, and when it is left to bite: a table.

Invariants: once it was decided to let it bite, it is never petted again in this boot, whatever
comes, unless somebody disarms it in words; the reason is on disk before the last pet is the last;
an orderly stop while all is well disarms, an orderly stop of one that is to bite does not.
"""

import enum


class Phase(enum.Enum):
    """What is done with the device."""

    OPENING = "opening"  # it is not open: nothing can bite yet
    PETTING = "petting"
    BITING = "biting"  # it is open, and never petted again
    DISARMED = "disarmed"  # it was closed in the way that stops it
    ENDED = "ended"


class Input(enum.Enum):
    """What may happen."""

    OPENED = "opened"  # the device could be opened
    NO_DEVICE = "no-device"  # it could not be opened, or a write to it failed
    WELL = "well"  # every condition holds
    LAPSED = "lapsed"  # a lease was not renewed in time
    FAILED = "failed"  # the holder of a condition says that it is lost
    DISARM = "disarm"
    ARM = "arm"
    STOP = "stop"  # the process is told to end


class Action(enum.Enum):
    """What is done on the way."""

    NOTHING = "nothing"
    PET = "pet"
    RECORD = "record"  # write down why, synced
    DISARM = "disarm"  # magic close, and the record is taken back
    CLOSE = "close"  # the device is closed as it is: it goes on counting
    LEAVE = "leave"  # end without a word to the device: it goes on counting


_P, _I, _A = Phase, Input, Action
TABLE: dict[tuple[Phase, Input], tuple[Phase, Action]] = {
    (_P.OPENING, _I.OPENED): (_P.PETTING, _A.PET),
    (_P.OPENING, _I.DISARM): (_P.DISARMED, _A.NOTHING),
    (_P.OPENING, _I.STOP): (_P.ENDED, _A.LEAVE),
    (_P.PETTING, _I.WELL): (_P.PETTING, _A.PET),
    (_P.PETTING, _I.LAPSED): (_P.BITING, _A.RECORD),
    (_P.PETTING, _I.FAILED): (_P.BITING, _A.RECORD),
    (_P.PETTING, _I.NO_DEVICE): (_P.OPENING, _A.CLOSE),
    (_P.PETTING, _I.DISARM): (_P.DISARMED, _A.DISARM),
    (_P.PETTING, _I.STOP): (_P.ENDED, _A.DISARM),
    (_P.BITING, _I.DISARM): (_P.DISARMED, _A.DISARM),
    (_P.BITING, _I.STOP): (_P.ENDED, _A.LEAVE),
    (_P.DISARMED, _I.ARM): (_P.OPENING, _A.NOTHING),
    (_P.DISARMED, _I.STOP): (_P.ENDED, _A.LEAVE),
}
IGNORED: frozenset[tuple[Phase, Input]] = frozenset(
    {(_P.ENDED, given) for given in _I}
    # Nothing is open that could bite: a lapse is said, and counts once the device is there.
    | {(_P.OPENING, given) for given in (_I.NO_DEVICE, _I.WELL, _I.LAPSED, _I.FAILED, _I.ARM)}
    | {(_P.PETTING, given) for given in (_I.OPENED, _I.ARM)}
    | {
        (_P.BITING, given)
        for given in (_I.OPENED, _I.NO_DEVICE, _I.WELL, _I.LAPSED, _I.FAILED, _I.ARM)
    }
    | {
        (_P.DISARMED, given)
        for given in (_I.OPENED, _I.NO_DEVICE, _I.WELL, _I.LAPSED, _I.FAILED, _I.DISARM)
    }
)


def step(phase: Phase, given: Input) -> tuple[Phase, Action]:
    """Where an input leads, and what is done; KeyError for a pair that the table forgot."""
    if (phase, given) in IGNORED:
        return phase, Action.NOTHING
    return TABLE[phase, given]
