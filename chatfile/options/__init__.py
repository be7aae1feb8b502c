"""The options of `twistd chatfile`, checked before anything is opened."""

from chatfile.options.checks import OWN_TLS, endpoint_description
from chatfile.options.nodes import METRICS_CONNECTIONS
from chatfile.options.options import DEFAULT_PORT, Options, as_argparse

__all__ = ["DEFAULT_PORT", "METRICS_CONNECTIONS", "OWN_TLS", "Options", "as_argparse", "endpoint_description"]
