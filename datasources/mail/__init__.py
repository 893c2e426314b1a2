"""Mail: what it says, how it is sent, and the outbox that sees to it that it is."""
