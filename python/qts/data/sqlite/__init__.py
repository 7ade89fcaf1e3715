"""The embedded database: one SQLite file, its migrations, and the two ways in: in step, and from an event loop."""
