"""What tests are made of: servers and clients in memory or as processes, transports, disks and peers that misbehave."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
"""The checkout."""
