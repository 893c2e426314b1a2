"""The tables that every platform may lean on."""
