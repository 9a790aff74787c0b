"""`mur`: the command for people and scripts at one site.

Speaks HTTP to the gateway, and for `mur lab` JSON lines to the supervisor's socket; has no facts of
its own. Invariants: results go to stdout and everything else to stderr; with --json, stdout is
exactly what the API answered; nothing heavy is imported before a command needs it.
"""
