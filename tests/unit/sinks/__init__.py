"""Where results go: files that are opened again and looked at."""
