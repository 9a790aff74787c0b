"""Benchmarks that can be repeated: `./just bench NAME`.

Each is a module of this package: `detect-alarm` is `bench/detect_alarm.py`, and has what
`bench.harness.Benchmark` asks for. Names and units of its rows are those of the tables they answer.
What compares with a peer runs both sides in the same run.
"""
