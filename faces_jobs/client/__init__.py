"""The client's side of the HTTP API, as the command line uses it."""
