"""`python -m faces_jobs` runs the `faces-jobs` command."""

from faces_jobs.cli import main

if __name__ == "__main__":
    main()
