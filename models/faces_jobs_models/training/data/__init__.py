"""Training data: crops of labelled faces, prepared once, sampled and augmented."""
