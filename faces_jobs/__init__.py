"""Self-hosted service for face attributes in video: from a submission to its results."""
