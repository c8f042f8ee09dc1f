"""The settings of gateways' accounts at the broker."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GatewayParams(BaseModel):
    """Where accounts of gateways are kept; the embedded broker needs none of this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker: Literal["embedded", "mosquitto", "rabbitmq"] = Field("embedded", description="Whose accounts they are.")
    passwd_file: Path | None = Field(None, description="Mosquitto's password_file.")
    acl_file: Path | None = Field(None, description="Mosquitto's acl_file; unset: it has a pattern for all gateways.")
    pid_file: Path | None = Field(None, description="Mosquitto's pid_file: it is told to read its files again.")
    vhost: str = Field("/", min_length=1, description="RabbitMQ's virtual host.")
