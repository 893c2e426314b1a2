"""Where data lives: the database and the services behind the gateway. Knows nothing of GraphQL."""
