"""Real servers for tests: one PostgreSQL and one Redis for a whole run, started when the first test asks."""
