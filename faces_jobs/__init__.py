"""Self-hosted service that finds and classifies faces in videos and photos."""
