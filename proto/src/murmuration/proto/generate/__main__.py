"""`python -m murmuration.proto.generate [--check] [--root PATH]`."""

import argparse
import sys
from pathlib import Path

from murmuration.proto.generate import command, tree
from murmuration.proto.generate.tree import ContractError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: all is current (now); 1: it is not, a sentence each on standard error."""
    parser = argparse.ArgumentParser(
        prog=tree.COMMAND, description="Write what is made from the contract's registry."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    parser.add_argument("--root", type=Path, default=tree.default_root(), help="folder proto/")
    options = parser.parse_args(arguments)
    try:
        root = tree.require_root(options.root)
        if options.check:
            sentences = command.check(root)
            sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences))
            return 1 if sentences else 0
        sys.stdout.write("".join(f"{path}\n" for path in command.generate(root)))
    except ContractError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
