"""Where results go: annotated pictures and videos, thumbnails, rows, exports."""
