"""The base of everything that a user can set: fields become flags, and unknown names are refused."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Base of every set of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)
