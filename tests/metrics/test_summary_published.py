"""EdiVal's published overall values are sqrt(IF * CC) on the percent scale, to 0.01."""

import numpy as np
import pytest

from micebench.metrics import summarize
from tests.metrics.random_tables import plain_table

PUBLISHED = {
    "Seedream 4.0": ((75.93, 55.58, 41.59), (92.51, 88.03, 85.86), (83.81, 69.95, 59.76)),
    "GPT-Image-1.5": ((75.19, 55.92, 40.08), (94.49, 91.20, 88.49), (84.29, 71.41, 59.55)),
    "Nano Banana 2": ((73.89, 54.17, 38.61), (93.54, 90.52, 88.61), (83.14, 70.02, 58.49)),
    "FLUX.2-max": ((75.55, 55.27, 39.36), (92.91, 88.30, 85.78), (83.78, 69.86, 58.10)),
    "Qwen-Image-Edit": ((72.90, 44.06, 22.55), (84.22, 80.52, 77.98), (78.36, 59.56, 41.93)),
    "FLUX.1-Kontext-dev": ((59.97, 32.69, 16.61), (95.32, 92.24, 90.22), (75.61, 54.91, 38.71)),
    "Lance 512": ((61.89, 33.22, 16.26), (84.98, 76.36, 72.30), (72.52, 50.36, 34.28)),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_overall_follows(model):
    """10,000 sessions with exactly the published image success and consistency give the published overall."""
    following, consistency, overall = PUBLISHED[model]
    passed = np.array([[i < round(100 * share) for share in following] for i in range(10_000)], float)
    scored = np.broadcast_to(np.array(consistency) / 100, passed.shape)
    table = plain_table(passed, CC_object=scored, CC_background=scored)
    found = summarize(table, resamples=100)["metrics"]
    for k in range(3):
        turn = str(k + 1)
        assert found["turn_success"][turn]["value"] == pytest.approx(following[k], abs=1e-9)
        assert found["content_consistency"][turn]["value"] == pytest.approx(consistency[k], abs=1e-9)
        # 0.01: the published parts are rounded to 0.01 themselves
        assert abs(found["overall"][turn]["value"] - overall[k]) <= 0.01
