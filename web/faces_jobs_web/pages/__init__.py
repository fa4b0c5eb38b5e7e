"""The HTML pages: submitting, jobs and login."""
