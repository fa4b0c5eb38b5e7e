"""Self-hosted service for face attributes in video: submission, records, queue, pipeline, results."""
