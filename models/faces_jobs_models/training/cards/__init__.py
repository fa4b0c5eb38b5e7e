"""Model cards: figures, example pictures and known failures, written between marks."""
