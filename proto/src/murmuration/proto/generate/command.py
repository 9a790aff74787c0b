"""The commands `generate` and `publish` without their argument parsing."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from murmuration.proto import registry
from murmuration.proto.generate import (
    asyncapi,
    contract,
    golden,
    jsonschema,
    locks,
    tree,
    typescript,
)
from murmuration.proto.generate.tree import ContractError

GENERATED = "generated"
DISTRIBUTION = "murmuration-proto"


def generate(root: Path) -> list[str]:
    """Write what is not current; returns the paths that changed. Repeating changes nothing.

    Raises ContractError, and writes nothing, when a published entry would change.
    """
    registry.load()
    _refuse(root)
    wanted = _written()
    changed = list(tree.write(root, wanted, [GENERATED]))
    changed += tree.write(root, _locks(root), [locks.FOLDER])
    kept = {path: _present(root, path) or new for path, new in golden.samples().items()}
    changed += tree.write(root, kept, [golden.FOLDER])
    return changed


def check(root: Path) -> list[str]:
    """One sentence per thing that is not current or not allowed; writes nothing."""
    registry.load()
    try:
        _refuse(root)
        wanted = _locks(root)
    except ContractError as error:
        return list(error.sentences)
    sentences = list(tree.stale(root, _written(), [GENERATED]))
    sentences += tree.stale(root, wanted, [locks.FOLDER])
    kept = {path: _present(root, path) or new for path, new in golden.samples().items()}
    sentences += tree.stale(root, kept, [golden.FOLDER])
    return sentences


def publish(root: Path, service: str | None) -> list[str]:
    """Mark the drafts of one service, or of all, as published; returns what is newly published.

    Raises ContractError, and writes nothing, for an unknown service or a change of what was
    published before.
    """
    registry.load()
    known = locks.services()
    if service is not None and service not in known:
        raise ContractError([f"There is no service {service}: there are {', '.join(known)}."])
    _refuse(root)
    before = locks.merged(root)
    after = {**before, **{s: locks.published(s) for s in ([service] if service else known)}}
    list(tree.write(root, {locks.path(s): locks.text(lock) for s, lock in after.items()}, []))
    return [name for s in after for name in _newly(before[s], after[s])]


def _newly(before: locks.Lock, after: locks.Lock) -> Iterator[str]:
    was = dict(locks.entries(before))
    for name, entry in locks.entries(after):
        if entry.status == "published" and was[name].status == "draft":
            yield name


def _refuse(root: Path) -> None:
    if sentences := locks.violations(root):
        raise ContractError(sentences)


def _written() -> dict[str, bytes]:
    """Everything under generated/."""
    found = {
        f"{GENERATED}/schemas/{name}.json": tree.pretty(schema)
        for name, schema in jsonschema.documents().items()
    }
    version = metadata.version(DISTRIBUTION)
    found[f"{GENERATED}/asyncapi.json"] = tree.pretty(asyncapi.document(version))
    found[f"{GENERATED}/typescript/index.ts"] = typescript.module().encode()
    found[f"{GENERATED}/contract.md"] = contract.page().encode()
    return found


def _locks(root: Path) -> dict[str, bytes]:
    return {locks.path(service): locks.text(lock) for service, lock in locks.merged(root).items()}


def _present(root: Path, path: str) -> bytes | None:
    file = root / path
    return file.read_bytes() if file.is_file() else None
