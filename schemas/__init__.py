"""The records of the log as Avro: schemas, their published versions, and the codec.

``avro/`` is what the next release may change; ``released/<name>/<version>.avsc`` is
what was published, never edited again; ``ids.json`` gives each published version the
id that stands in front of its bytes.
"""
