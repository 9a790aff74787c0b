"""What other replicas of mtce hear: each tells five times a second whom it hears and whom not.

An observer counts while its word is young and it does not doubt itself. It is a witness of our own
reach when it lives on another machine and hears somebody: its word came over the network.

A word is two bit strings, a bit per pulse index: heard (a fresh frame within four periods) and
silent. A host with neither bit is one of which the observer does not know.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from murmuration.mtce.core.frames import INDEX_MAX, Ints
from murmuration.mtce.core.verdict_table import Other

TELL_MS: Final = 200  # five times a second: two tellings within the shortest failure threshold
STALE_NS: Final = 500_000_000  # one telling may be lost; less than the shortest failure threshold
OBSERVERS_MAX: Final = 8  # a site has two controllers, a large one five
BITS_BYTES_MAX: Final = INDEX_MAX // 8 + 1

Bits = npt.NDArray[np.bool_]


class Word(NamedTuple):
    """What one observer told last, and when it came."""

    instance: str
    machine: str
    doubt: str
    heard: Bits
    silent: Bits
    at_ns: int


def pack(bits: Bits) -> str:
    """A bit string as hex, without the zeros at its end."""
    return np.packbits(bits, bitorder="little").tobytes().rstrip(b"\0").hex()


def unpack(text: str) -> Bits:
    """What `pack` made. Raises ValueError when it is not hex, or longer than there are indexes."""
    if len(text) > 2 * BITS_BYTES_MAX:
        raise ValueError(f"{len(text)} digits of bits, more than {2 * BITS_BYTES_MAX}")
    raw = np.frombuffer(bytes.fromhex(text), np.uint8)
    return np.unpackbits(raw, bitorder="little").astype(np.bool_)


class Observers:
    """The other observers of the site, by instance."""

    def __init__(self, *, instance: str, machine: str) -> None:
        self.instance = instance
        self.machine = machine
        self._words: dict[str, Word] = {}

    def hear(self, word: Word) -> bool:
        """Take what an observer tells; False when it is our own, or there are too many."""
        self.sound(word.at_ns)  # replicas that ended leave room for those that began
        full = len(self._words) >= OBSERVERS_MAX and word.instance not in self._words
        if word.instance == self.instance or full:
            return False
        self._words[word.instance] = word
        return True

    def sound(self, now_ns: int) -> list[Word]:
        """The words that count now; those that are old are forgotten."""
        self._words = {
            key: word for key, word in self._words.items() if now_ns - word.at_ns < STALE_NS
        }
        return [word for word in self._words.values() if not word.doubt]

    def opinion(self, index: Ints, now_ns: int) -> Ints:
        """What the others say of each of these hosts, as Other."""
        found = np.full(len(index), Other.ABSENT, np.int64)
        for word in self.sound(now_ns):
            found[_at(word.silent, index) & (found == Other.ABSENT)] = Other.AGREES
            found[_at(word.heard, index)] = Other.HEARS
        return found

    def witness(self, now_ns: int) -> str:
        """The instance of an observer elsewhere that hears somebody; empty when there is none."""
        for word in self.sound(now_ns):
            if word.machine != self.machine and word.heard.any():
                return word.instance
        return ""

    def say(self, index: int, now_ns: int) -> str:
        """What each observer that is heard says of a host: evidence."""
        parts: list[str] = []
        for word in self._words.values():
            if now_ns - word.at_ns >= STALE_NS:
                continue
            one = np.array([index])
            known = "silent" if _at(word.silent, one)[0] else "unknown"
            says = "heard" if _at(word.heard, one)[0] else known
            parts.append(f"{word.instance}: {'doubts itself' if word.doubt else says}")
        return "; ".join(parts) or "none"


def _at(bits: Bits, index: Ints) -> Bits:
    inside = index < len(bits)
    found = np.zeros(len(index), np.bool_)
    found[inside] = bits[index[inside]]
    return found
