"""Coverage-guided fuzzing of what takes bytes from strangers: `python -m tests.fuzz`."""
