"""The networks: records, detector, classifiers, catalog, training."""
