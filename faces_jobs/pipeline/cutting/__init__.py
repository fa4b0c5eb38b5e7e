"""Cuts a video at key frames into parts, and reads one part exactly as in the whole."""
