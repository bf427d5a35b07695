"""Every constant of the three protocols. Cards state all of them, so that a judge's hash covers them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Score = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Quality = Annotated[int, Field(ge=1, le=100)]


class PublishedRules(BaseModel):
    """EdiVal (detector/instruction_detector.py @ a7bbdec), MICE-Bench (edival_reward_server.py of Edit-R2 @ 2dd266f).

    Scores are compared strictly (a detection counts above the threshold), boxes are shares of the image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["edival", "mice"]
    squash: Annotated[int, Field(ge=1)] | None = Field(
        description="side of the square both images are pressed into by Lanczos, in pixels; null: not"
    )
    jpeg_sent: Quality | None = Field(description="JPEG quality on the way to the judge's server; null: lossless")
    jpeg_detector: Quality | None = Field(description="JPEG quality on the way to the detector; null: lossless")
    jpeg_vlm: Quality | None = Field(description="JPEG quality on the way to the VLM; null: lossless")
    found: Score = Field(description="detection score, where no other is named")
    found_removed: Score = Field(description="detection score of an object to be removed, before and after")
    found_moved: Score = Field(description="detection score when a position change counts objects")
    found_kept: Score = Field(description="detection score of an object that a background change has to keep")
    huge_removed: Share = Field(description="a removed object's box wider and higher than this is ignored")
    huge_kept: Share = Field(description="a kept object's box wider and higher than this is a false detection")
    still_there: Share = Field(description="IoU of best box before and after from which nothing was removed")
    duplicate: Share = Field(description="IoU above which the later of two boxes is not counted")
    offset: Score = Field(description="distance of centres an added object needs, as share of width or height")


class CorrectedRules(BaseModel):
    """micebench: objects instead of boxes, the right instance, lossless pixels in their own aspect ratio."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["micebench"]
    found: Score = Field(description="detection score above which an object is there")
    kept: Score = Field(description="score above which something may be there: kept objects, traces before the turn")
    huge: Share = Field(description="a box wider and higher than this is the scene, not an object")
    same: Share = Field(description="IoU above which two boxes are one object, or an object that stayed where it was")
    inside: Share = Field(
        description="share of the smaller of two boxes in the other from which they are at one place"
    )
    offset: Score = Field(description="distance of centres a spatial relation needs, as share of width or height")
    margin: Annotated[float, Field(ge=0.0)] = Field(description="added around a crop on each side, in box sizes")
    text: Literal["reader", "vlm"] = Field(description="who reads: the OCR component or the VLM")
    legible: Score = Field(description="confidence a line of the OCR component needs")


class FollowingRules(RootModel[Annotated[PublishedRules | CorrectedRules, Field(discriminator="protocol")]]):
    """A judge card's `following` option: one of the two, told apart by `protocol`."""
