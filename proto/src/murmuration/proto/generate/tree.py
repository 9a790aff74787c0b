"""Where generated files live, and how what should be there is compared with what is."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = dict[str, Json]

COMMAND = "python -m murmuration.proto.generate"


class ContractError(Exception):
    """Sentences for the developer: what is wrong with the contract and what to do."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def default_root() -> Path:
    """The folder `proto/` of the source tree this module runs from."""
    return Path(__file__).resolve().parents[4]


def require_root(root: Path) -> Path:
    """Return `root` if it is the folder `proto/` of a source tree; raises ContractError if not."""
    if not (root / "pyproject.toml").is_file():
        raise ContractError([f"{root} is not the folder proto/ of a source tree: give --root."])
    return root


def pretty(value: Json) -> bytes:
    """Indented JSON with a line end, keys in the order they were put in."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def stale(root: Path, wanted: Mapping[str, bytes], folders: Sequence[str]) -> Iterator[str]:
    """One sentence per file that is missing, differs, or is in `folders` and not wanted."""
    for path, content in wanted.items():
        file = root / path
        if not file.is_file():
            yield f"{path} is missing: run `{COMMAND}`."
        elif file.read_bytes() != content:
            yield f"{path} is not what the registry says: run `{COMMAND}`."
    for path in surplus(root, wanted, folders):
        yield f"{path} belongs to nothing that is declared: run `{COMMAND}`."


def surplus(root: Path, wanted: Mapping[str, bytes], folders: Sequence[str]) -> Iterator[str]:
    """Paths of files in `folders` that are not wanted."""
    for folder in folders:
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.is_file() and path not in wanted:
                yield path


def write(root: Path, wanted: Mapping[str, bytes], folders: Sequence[str]) -> Iterator[str]:
    """Make the tree as wanted; yields the paths that changed. Repeating changes nothing."""
    for path, content in wanted.items():
        file = root / path
        if file.is_file() and file.read_bytes() == content:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        yield path
    for path in list(surplus(root, wanted, folders)):
        (root / path).unlink()
        yield path
