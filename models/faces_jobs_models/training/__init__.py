"""Training of the networks: readers, crops, augmentation, losses, the loop, figures, export."""
