"""How a vision-language model draws its replies."""

from pydantic import BaseModel, ConfigDict, Field


class Sampling(BaseModel):
    """What a card's ``options.vlm`` says about it, whatever its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    retry_temperature: float = Field(
        default=0.3,
        ge=0.0,
        le=2.0,
        description="at least this, when a question is put again because its reply could not be read: at 0 another "
        "seed would change nothing",
    )

    def temperature_of(self, attempt: int) -> float:
        """The temperature at which a question is put, `attempt` times after the first."""
        return max(self.temperature, self.retry_temperature) if attempt else self.temperature
