"""The contract: every subject, payload, stream, publisher and subscriber, declared once.

Owns the words the services, agents, console and tools speak. Nothing here does I/O, and nothing
here knows how a message travels: that is `murmuration.bus`.
"""
