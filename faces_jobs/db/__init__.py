"""The database: tables, sessions, queries, the state changes of jobs, and schema upgrades."""
