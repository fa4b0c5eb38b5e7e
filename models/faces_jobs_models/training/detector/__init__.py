"""Training of the detector by distillation from a teacher, on composed scenes."""
