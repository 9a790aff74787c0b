"""The rules of correlation that come with fm; see 10-builtin.toml for their form."""

from collections.abc import Iterable
from pathlib import Path

FOLDER_FILES_MAX = 50  # a folder of rules, not of something else


def builtin() -> list[tuple[str, bytes]]:
    """(name, TOML) of each file that comes with fm."""
    return files(Path(__file__).parent)


def files(folder: Path) -> list[tuple[str, bytes]]:
    """(name, TOML) of each file of rules in a folder, in order of name."""
    paths: Iterable[Path] = sorted(folder.glob("*.toml"))[:FOLDER_FILES_MAX]
    return [(path.name, path.read_bytes()) for path in paths]
