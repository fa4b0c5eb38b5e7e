"""The face detectors: our own (after YuNet), CenterFace, and the official YuNet."""
