"""The networks of faces_jobs: a face detector and three classifiers, with their records."""
