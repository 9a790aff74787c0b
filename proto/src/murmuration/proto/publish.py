"""`python -m murmuration.proto.publish [--service S]`: a tag publishes.

What is published may from then on only gain optional fields, members of open enums and
subscribers. Used at development time only.
"""

import argparse
import sys
from pathlib import Path

from murmuration.proto.generate import command, tree
from murmuration.proto.generate.tree import ContractError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: published, names on standard output; 1: refused, a sentence each."""
    parser = argparse.ArgumentParser(
        prog="python -m murmuration.proto.publish",
        description="Mark the drafts of the contract as published.",
    )
    parser.add_argument("--service", help="only this service's")
    parser.add_argument("--root", type=Path, default=tree.default_root(), help="folder proto/")
    options = parser.parse_args(arguments)
    try:
        names = command.publish(tree.require_root(options.root), options.service)
    except ContractError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{name}\n" for name in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
