"""The settings of evidence: where photos and signatures are kept."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class EvidenceParams(BaseModel):
    """Where photos and signatures are kept, and their limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(Path("var/evidence"), description="Local folder; not used when a bucket is named.")
    s3_bucket: str | None = Field(None, description="Bucket; unset: the local folder.")
    s3_endpoint: str | None = Field(None, description="Address of an S3-compatible server; unset: the region's own.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key_id: SecretStr | None = Field(None, description="Access key; unset: the machine's own role.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Its secret.")
    bytes_max: int = Field(10_485_760, ge=1024, le=104_857_600, description="Largest file taken, bytes.")
    pixels_max: int = Field(50_000_000, ge=1, le=500_000_000, description="Largest image taken, pixels.")
    per_visit_max: int = Field(40, ge=1, le=1000, description="Most files of one visit.")
