"""The settings of HTTP."""

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork


class HttpParams(BaseModel):
    """Where HTTP is served, and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; put TLS and the world in front of it.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    probe_host: str = Field("127.0.0.1", description="Address of the probes' own listener.")
    probe_port: int | None = Field(
        None, ge=0, le=65535, description="Own port for /healthz, /readyz and /metrics; unset: on `port`."
    )
    body_bytes_max: int = Field(1_048_576, ge=1024, le=104_857_600, description="Largest request body taken, bytes.")
    public_per_minute: int = Field(
        30, ge=1, le=10_000, description="Calls a minute that one address may make without an account (booking)."
    )
    public_per_token_per_minute: int = Field(
        12, ge=1, le=10_000, description="Calls a minute with one card's token, from whatever addresses."
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (), description="Addresses or networks of our own proxies, whose X-Forwarded-For says who calls."
    )
    drain_s: float = Field(10.0, ge=0, le=300, description="Time that running requests get at shutdown, seconds.")
