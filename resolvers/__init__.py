"""One folder a platform; see ``schema.platform`` for what a platform is."""
