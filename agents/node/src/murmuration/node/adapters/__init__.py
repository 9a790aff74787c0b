"""The real host and the real bus behind the ports of `murmuration.node.ports`."""
