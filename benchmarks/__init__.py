"""Tributary beside a hand-written floor over the same data: server CPU time per request, as a ratio."""
