"""Passwords of BMCs as files that only their owner reads, one a host: `<folder>/<name>`, 0600."""

import re
from pathlib import Path

from murmuration.bmc.errors import SecretMissing
from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.runtime.files import read_private, write_private

PASSWORD_MAX = 256  # characters; the longest any BMC takes is far below
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class FileSecrets:
    """Implements SecretStore; the folder is made 0700 at the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> str:
        """The password. Raises SecretMissing, Unavailable."""
        try:
            found = read_private(self._path(name))
        except OSError as error:
            raise Unavailable(f"the password of {name} cannot be read: {error.strerror}") from error
        if found is None:
            raise SecretMissing(f"no password is stored for {name}: set it with `mur host bmc set`")
        return found.decode()

    def write(self, name: str, password: str) -> None:
        """Keep it, durable before this returns. Raises Rejected, Unavailable."""
        if not 0 < len(password) <= PASSWORD_MAX:
            raise Rejected(f"a password has 1 to {PASSWORD_MAX} characters")
        path = self._path(name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, password.encode())
        except OSError as error:
            raise Unavailable(f"the password of {name} cannot be kept: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Forget it. Raises Rejected, Unavailable."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the password of {name} stays: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Rejected(f"{name[:63]!r} cannot name a secret: letters, digits, dots and dashes")
        return self._folder / name
