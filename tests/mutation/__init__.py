"""Whether a test would notice: each small change of the code is tried on the tests that reach it."""
