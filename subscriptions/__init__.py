"""What happens, live: readers of the event log."""
