"""The local door: HTTP servers that no foreign page, name or form can steer.

Order of a request: `problems` (every failure becomes RFC 9457), `guard` (Host, Origin, token,
content type), the handler. `server` owns sockets and stopping, `sse` the fan-out of live events,
`ops` the three routes every service has.
"""
