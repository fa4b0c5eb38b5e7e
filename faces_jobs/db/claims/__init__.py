"""Claims: which worker holds which work, for how long, and how its writes are fenced."""
