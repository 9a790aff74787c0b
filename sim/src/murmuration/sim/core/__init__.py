"""The world itself: no clock, no chance and no network of its own, so that it runs in any time."""
