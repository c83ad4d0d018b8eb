"""The picture of a lineage: from an answer of the API to SVG and a table. Pure."""
