"""The AsyncAPI document passes AsyncAPI's own parser, which knows the specification's rules."""

import subprocess
import sys
from pathlib import Path

PARSER = Path(__file__).with_name("asyncapi_parser.py")
DOCUMENT = Path(__file__).parents[2] / "proto" / "generated" / "asyncapi.json"


def parse(document: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, PARSER, document], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_document_passes_the_outside_parser() -> None:
    assert parse(DOCUMENT) == (0, "")


def test_parser_objects_when_an_operation_has_no_channel(tmp_path: Path) -> None:
    text, channel = DOCUMENT.read_text(), '"$ref": "#/channels/fm.alarm.raised.v1"'
    assert channel in text
    broken = tmp_path / "asyncapi.json"
    broken.write_text(text.replace(channel, '"$ref": "#/channels/of.nowhere"', 1))
    code, said = parse(broken)
    assert code == 1
    assert "of.nowhere" in said
