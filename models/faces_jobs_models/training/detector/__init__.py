"""Training of the detector: scenes composed of photographs, a teacher's answers to them."""
