"""A file server you can talk to."""
