"""Where results go: annotated images and videos, thumbnails, spooled faces, exports."""
