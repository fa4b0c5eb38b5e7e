"""Unit tests of what the pipeline's stages cost."""
