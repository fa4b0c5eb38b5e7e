"""The web app through its test client, with a real database, storage and queue."""
