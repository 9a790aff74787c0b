"""The kernel's watchdog device (Documentation/watchdog/watchdog-api.rst).

Opening starts it, any write pets it, `V` before the close stops it; a driver with `nowayout` bites
all the same, and so does a close without `V`.
"""

import fcntl
import os
import struct

SET_TIMEOUT = 0xC0045706  # WDIOC_SETTIMEOUT: seconds in, what the hardware made of them out
MAGIC_CLOSE = b"V"


class Device:
    """One open device. `timeout_s` is what the hardware counts to."""

    def __init__(self, path: str, timeout_s: int) -> None:
        """Open it, which starts the counting. Raises OSError."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.timeout_s = timeout_s
        self.reason = ""
        try:
            answer = fcntl.ioctl(self._descriptor, SET_TIMEOUT, struct.pack("i", timeout_s))
            self.timeout_s = int(struct.unpack("i", answer)[0])
        except OSError as error:
            self.reason = f"its timeout cannot be set ({error.strerror}): it is the driver's own"

    def pet(self) -> None:
        """Keep it from biting for another `timeout_s`. Raises OSError."""
        os.write(self._descriptor, b"\0")

    def disarm(self) -> None:
        """Stop it, if its driver allows that, and close it. Raises OSError."""
        try:
            os.write(self._descriptor, MAGIC_CLOSE)
        finally:
            os.close(self._descriptor)

    def close(self) -> None:
        """Close it as it is: it goes on counting, and bites."""
        os.close(self._descriptor)
