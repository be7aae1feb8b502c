"""The picture of the prompt that stands in the README, recorded from the real programs: `python -m tests.picture`."""
