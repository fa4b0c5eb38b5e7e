"""Fast tests that need no server."""
