"""The networks on a GPU: each frame is copied there once, and only results are copied back."""
