"""Rows of results: faces, tracks and their blocks, artifacts and facts of files."""
