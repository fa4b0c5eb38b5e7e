"""The life of a segment: its stages, parts and bundles, and how each one ends."""
