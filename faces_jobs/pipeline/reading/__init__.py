"""Readers of media files and cameras: decoded pixels and packets become upright BGR frames."""
