"""One site on one machine: its supervisor, its NATS and PostgreSQL, its hosts and their faults.

`python -m murmuration.site up|down|status|logs`. Nothing here knows what the services do: a service
is a command line, sockets it inherits and a URL that says when it is ready. `compact` alone imports
services, in a process of its own.
"""
