"""A soak: a real server among good, slow and hostile clients, for minutes or hours: `python -m tests.soak`."""
