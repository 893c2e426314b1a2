"""Who is asking: passwords, tokens, scopes, tenancy. Knows nothing of platforms."""
