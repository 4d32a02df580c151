"""What only the notebooks use: guesses, checks, the tuning study, label errors, sketches."""
