"""Real processes, a real clip, a real browser."""
