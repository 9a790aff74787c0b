"""The producer's side of fault management: say it once, it arrives, also a day later."""
