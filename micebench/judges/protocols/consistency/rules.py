"""How content consistency is measured: the constants a judge card spells out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Protocol = Literal["edival", "mice", "micebench"]
Measure = Literal["features", "pixels", "both"]


class ConsistencyRules(BaseModel):
    """The `consistency` section of a photo judge's card; the defaults are micebench's.

    `protocol` decides what is compared and which cases are undefined (docs/protocols.md). EdiVal-Bench is
    TianyuCodings/EdiVal @ a7bbdec, MICE-Bench is yuxiaooye/Edit-R2 @ 2dd266f.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Protocol
    threshold: float = Field(default=0.35, ge=0, le=1, description="detections above this score count")
    squash_px: int | None = Field(
        default=None, ge=16, description="both images are first made square with this side; None: pixels as they are"
    )
    jpeg_sent: int | None = Field(
        default=None, ge=1, le=95, description="JPEG quality on the way to the judge's server; None: lossless"
    )
    jpeg_detector: int | None = Field(
        default=None, ge=1, le=95, description="JPEG quality on the way to the detector; None: lossless"
    )
    class_share: float = Field(
        default=0.5, ge=0, le=1, description="object similarity: share of the class token's cosine, rest: patches"
    )
    patch_floor: float = Field(
        default=0.5, gt=0, le=1, description="patches of which less than this share is background are left out"
    )
    registers_as_patches: bool = Field(
        default=False, description="upstream's slip: register tokens are read as the first patches"
    )
    undetected: Literal["zero", "missing"] = Field(
        default="missing", description="value where unchanged objects are listed and none is found (edival: zero)"
    )
    covered: Literal["zero", "missing"] = Field(
        default="missing", description="value of a background of which boxes leave no patch (edival, mice: zero)"
    )
    match_iou: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="micebench: overlap from which a detection in the output is the source's object",
    )
    largest: float = Field(
        default=0.98, gt=0, le=1, description="micebench: boxes wider and taller than this place no object"
    )
    measure: Measure = Field(
        default="features", description="cosine of features, 1 - mean pixel difference, or the mean of both"
    )

    @model_validator(mode="after")
    def _fits(self) -> "ConsistencyRules":
        if self.protocol == "micebench" and "zero" in (self.undetected, self.covered):
            raise ValueError("micebench never scores what it did not see; undetected, covered: zero are upstream's")
        if self.protocol == "micebench" and self.registers_as_patches:
            raise ValueError("micebench never reads registers as patches; registers_as_patches is upstream's")
        return self
