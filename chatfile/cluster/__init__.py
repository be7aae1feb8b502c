"""Many nodes that admit clients as one: the seats are counted at an engine, Redis or Valkey (docs/cluster.md).

Loaded behind `--cluster` only.
"""

from chatfile.cluster.address import EngineAddress, read_engine_address
from chatfile.cluster.admission import ClusterService, SharedAdmission
from chatfile.cluster.endpoints import engine_endpoint
from chatfile.cluster.engine import Engine, patience
from chatfile.cluster.scripts import keys

__all__ = [
    "ClusterService", "Engine", "EngineAddress", "SharedAdmission", "engine_endpoint", "keys", "patience",
    "read_engine_address",
]  # fmt: skip
