"""The pipeline's networks on a GPU: a frame goes there once, and only answers come back."""
