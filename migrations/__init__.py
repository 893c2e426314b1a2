"""The revisions of the database: a folder for each branch, applied by ``datasources.database.migrate``."""
