"""Checks that hold over the whole schema, made from the schema itself."""
