"""What all configuration models share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of keys: immutable, and closed against keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_enum_values=True)
