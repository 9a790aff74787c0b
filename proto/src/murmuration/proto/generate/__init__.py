"""What is made from the registry: schemas, AsyncAPI, TypeScript, a table, locks and samples.

`python -m murmuration.proto.generate` writes proto/generated, proto/contracts and missing samples
of proto/golden; with `--check` it writes nothing and says, in one sentence each, what is not
current. Used at development time only: standard library and msgspec. The same registry always
gives the same bytes.
"""
