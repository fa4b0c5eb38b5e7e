"""The web server process: an embedded gunicorn, its socket and its worker."""
