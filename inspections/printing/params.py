"""Who prints: what notices and cards say of the operator."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator


class PrintingParams(BaseModel):
    """The operator as notices and cards name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operator: str = Field("Gas operator", min_length=1, max_length=200, description="Name on notices, in English.")
    operator_zh: str = Field("燃气经营企业", min_length=1, max_length=200, description="Name on notices, in Chinese.")
    hotline: str | None = Field(None, max_length=64, description="Telephone number on notices and cards.")
    booking_url: HttpUrl | None = Field(
        None, description="Page where residents book with a card; its QR code ends in `#` and the card's token."
    )

    @model_validator(mode="after")
    def _secret_stays_in_the_fragment(self) -> Self:
        if self.booking_url is not None and self.booking_url.fragment:
            raise ValueError("booking_url must not have a fragment: the card's token goes there")
        return self
