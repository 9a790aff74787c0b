"""Which mur this is."""

from importlib import metadata


def version() -> str:
    """What `mur --version` prints."""
    return f"mur {metadata.version('murmuration-cli')}"
