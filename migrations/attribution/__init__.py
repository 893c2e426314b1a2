"""The tables of attribution."""
