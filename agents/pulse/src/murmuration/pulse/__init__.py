"""The heartbeat sender of a host: a process of its own, standard library only, a few megabytes.

It is apart from the rest of the agent so that an inventory scan, a garbage collection or a crash
there can never delay or end a heartbeat. Nothing here imports another part of Murmuration: the
frame's layout is the contract (`murmuration.proto.pulse`), and a test holds the two together.
"""
