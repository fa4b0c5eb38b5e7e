"""The web side: an HTTP API and pages. Imports no torch, cv2, numpy, pipeline or models."""
