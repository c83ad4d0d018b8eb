"""The records of all topics: keys, headers, values, schemas."""
