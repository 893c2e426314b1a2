"""The servers that are compared, each run as a process of its own; both are set up by environment variables."""
