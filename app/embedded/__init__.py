"""The servers that come with the program when nobody names others: a private PostgreSQL and a private Mosquitto."""

from app.embedded.errors import EmbeddedError
from app.embedded.servers import EmbeddedServers, default_directory

__all__ = ["EmbeddedError", "EmbeddedServers", "default_directory"]
