"""The gateway's own database: SQLite by default, PostgreSQL by one variable."""
