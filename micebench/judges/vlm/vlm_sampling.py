"""How a vision-language model draws its replies."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _two_delimiters(pair: tuple[str, str]) -> tuple[str, str]:
    opening, closing = (text.strip() for text in pair)
    if not opening or not closing or opening.casefold() == closing.casefold():
        raise ValueError("give two different texts, the opening and the closing one")
    return opening, closing


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
    reasoning_tags: list[Annotated[tuple[str, str], AfterValidator(_two_delimiters)]] = Field(
        default_factory=list[tuple[str, str]],
        description="what the model writes around its reasoning, where micebench does not know it: opening, closing",
    )

    def temperature_of(self, attempt: int) -> float:
        """The temperature at which a question is put, `attempt` times after the first."""
        return max(self.temperature, self.retry_temperature) if attempt else self.temperature
