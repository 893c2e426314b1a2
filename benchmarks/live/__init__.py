"""Q6: live events to many subscribers, beside a hand-written server and the usual ones."""
