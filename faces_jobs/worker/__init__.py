"""The consumer of the queue: claims work, runs the pipeline over it, records what came of it."""
