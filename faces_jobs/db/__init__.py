"""The truth: tables, sessions, stores and migrations."""
