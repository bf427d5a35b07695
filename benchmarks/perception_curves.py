"""How far `perceive` can be trusted: accuracy, withheld and wrong answers under image corruptions.

    python benchmarks/perception_curves.py --scenes 600

Renders validation scenes, corrupts them, and compares what is read with what was drawn. Writes the figure and
the numbers behind it to docs/figures/perception.{svg,json}; the same arguments give the same numbers.
"""

import argparse
import io
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from micebench.mini.generate import plans
from micebench.mini.perceive import UNREADABLE, perceive
from micebench.mini.render import render

Harm = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def jpeg(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer).convert("RGB"))


def blur(image: np.ndarray, sigma_px: float, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma_px)))


def noise(image: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(image + rng.normal(0, 255 * std, image.shape), 0, 255).astype(np.uint8)


def cast(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(size=3)
    direction *= np.sqrt(3) / np.linalg.norm(direction)
    return np.clip(image + 255 * amount * direction, 0, 255).astype(np.uint8)


def softness(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Down and up again, as the bottleneck of an autoencoder does."""
    small = max(1, round(image.shape[0] / factor))
    picture = Image.fromarray(image).resize((small, small), Image.Resampling.BICUBIC)
    return np.asarray(picture.resize(image.shape[:2], Image.Resampling.BICUBIC))


HARMS: dict[str, tuple[Harm, list[float], str]] = {
    "JPEG": (jpeg, [95, 90, 80, 70, 60, 50, 40, 30, 20, 10], "quality"),
    "Gaussian blur": (blur, [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.5], "standard deviation, px"),
    "white noise": (noise, [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12], "standard deviation, of [0, 1]"),
    "colour cast": (cast, [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12], "RMS shift, of [0, 1]"),
    "VAE-like softness": (softness, [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4], "down- and upsampling factor"),
}


def measure(count: int) -> dict[str, list[dict[str, float]]]:
    """Shares of slots read right, withheld and read wrong, per corruption and strength."""
    scenes = [
        scene
        for track in ("plain", "cm", "cu")
        for plan in islice(plans("validation", track, 3, 11), count // 12 + 1)
        for scene in [plan.source, *(step.scene for step in plan.steps)]
    ][:count]
    images = np.stack([render(scene) for scene in scenes])
    truth = perceive(images)
    curves: dict[str, list[dict[str, float]]] = {}
    for name, (harm, strengths, _) in HARMS.items():
        rng = np.random.default_rng(0)
        for strength in strengths:
            seen = perceive(np.stack([harm(image, strength, rng) for image in images]))
            right = (seen.kind == truth.kind) & (seen.letter == truth.letter)
            withheld = seen.kind == UNREADABLE
            point = {
                "strength": strength,
                "right": round(float(right.mean()), 4),
                "withheld": round(float(withheld.mean()), 4),
                "wrong": round(float((~right & ~withheld).mean()), 4),
            }
            curves.setdefault(name, []).append(point)
            print(
                f"{name:18s} {strength:6g}  "
                + "  ".join(f"{k} {v:6.1%}" for k, v in point.items() if k != "strength")
            )
    return curves


def draw(curves: dict[str, list[dict[str, float]]], target: Path, count: int) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "micebench"
    figure = Figure(figsize=(13, 3.1), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True)
    for ax, (name, points) in zip(axes, curves.items(), strict=True):
        x = [point["strength"] for point in points]
        for key, color in (("right", "#0072B2"), ("withheld", "#999999"), ("wrong", "#D55E00")):
            ax.plot(x, [100 * point[key] for point in points], color=color, marker="o", ms=3, label=key)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel(HARMS[name][2], fontsize=9)
        ax.grid(alpha=0.3)
        if name == "JPEG":
            ax.invert_xaxis()
            ax.set_ylabel(f"% of slots (n = {9 * count:,})", fontsize=9)
    axes[0].legend(fontsize=8, loc="center left")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "figures")
    arguments = parser.parse_args()
    curves = measure(arguments.scenes)
    draw(curves, arguments.out / "perception.svg", arguments.scenes)
    (arguments.out / "perception.json").write_text(
        json.dumps({"scenes": arguments.scenes, "curves": curves}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
