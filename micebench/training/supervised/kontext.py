"""Second stage and the whole: a miniature FLUX.1-Kontext from a recipe.

    autoencoder -> flow matching (transformer and text encoders together) -> a diffusers directory

A recipe with `start` takes all of these from another model and goes on with flow matching.

Everything lives in one work folder: the trained autoencoder, the last checkpoint, the curve (``curve.jsonl`` and
TensorBoard events) and the pipeline. The same call resumes from the last checkpoint with the same batches and the
same random numbers.
"""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# (diffusers exports its classes lazily and annotates them too narrowly)

import copy
import math
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.training_utils import EMAModel

from micebench.cards import EditorCard, load_card
from micebench.errors import NothingGained, RunError
from micebench.training.supervised.autoencoder import train_autoencoder
from micebench.training.supervised.model_builder import (
    Editor,
    build_editor,
    build_pipeline,
    load_editor,
    save_pipeline,
    tokenize,
)
from micebench.training.supervised.flow import flow_loss, interpolate, pack, position_ids, sample_sigmas
from micebench.training.supervised.recipe import FlowRecipe, Recipe, round_of
from micebench.training.supervised.dataset import Batches, batches, to_unit
from micebench.training.supervised.validate import validate
from micebench.training.common.work_dir import Log, Progress, accelerator_for, claim, load_checkpoint, logger, save_checkpoint


def train_kontext(recipe: Recipe, work: Path, show: Log | None = None, device: str | None = None) -> Path:
    """Train, or go on training, and write the pipeline to ``work/weights``.

    Args:
        show: told (step, numbers) whenever something is logged.
        device: "cpu" keeps a machine's GPU out of it; None takes what accelerate finds.

    Raises:
        RunError: `work` belongs to another recipe, or a gradient is not finite.
    """
    accelerator = accelerator_for(work, "bf16", device)
    claim(work, recipe)
    accelerator.init_trackers("tensorboard")
    log = logger(work, accelerator, show)
    start = None if recipe.start is None else _weights_of(recipe.start)
    autoencoder = _autoencoder(recipe, start, accelerator, work / "autoencoder", log)
    torch.manual_seed(recipe.seed)
    editor = build_editor(recipe, autoencoder.config.latent_channels) if start is None else load_editor(start)
    editor = _train_flow(recipe, accelerator, autoencoder, editor, work, log)
    save_pipeline(build_pipeline(autoencoder.cpu(), editor.cpu(), recipe.text), work / "weights")
    accelerator.end_training()
    return work / "weights"


def _weights_of(model: str) -> Path:
    """The pipeline of a model id, or of a path."""
    return Path(model) if Path(model).is_dir() else load_card(EditorCard, model).weights_folder()


def _autoencoder(
    recipe: Recipe, start: Path | None, accelerator: Accelerator, folder: Path, log: Log
) -> AutoencoderKL:
    if start is not None:
        folder = start / "vae"
    elif not (folder / "config.json").exists():
        train_autoencoder(recipe.autoencoder, recipe.seed, accelerator, log).save_pretrained(folder)
    model = AutoencoderKL.from_pretrained(folder, dtype=torch.float32).to(accelerator.device).eval()
    return model.requires_grad_(False)


def _train_flow(
    recipe: Recipe, accelerator: Accelerator, autoencoder: AutoencoderKL, editor: Editor, work: Path, log: Log
) -> Editor:
    part = recipe.flow
    if accelerator.device.type == "cpu":  # at a hundred tokens, faster than the fused kernel and its backward
        editor.transformer.set_attention_backend("_native_math")
    optimizer = torch.optim.AdamW(editor.parameters(), lr=part.lr, betas=(0.9, 0.95), weight_decay=part.weight_decay)
    editor, optimizer = accelerator.prepare(editor, optimizer)
    plain = accelerator.unwrap_model(editor)
    ema = EMAModel(plain.parameters(), decay=part.ema)
    ema.to(accelerator.device)
    progress = Progress()
    accelerator.register_for_checkpointing(ema, progress)
    checkpoint = work / "checkpoint"
    load_checkpoint(accelerator, checkpoint)
    data = Batches(recipe.seed, recipe.rounds, recipe.context)
    if not len(data):
        raise NothingGained("the recipe asks for no step, so that nothing is learnt; give flow.steps")
    for step, batch in enumerate(batches(data, progress.step), start=progress.step):
        part, in_round = round_of(recipe.rounds, step)
        ema.decay = part.ema
        if step and not in_round:  # the average of the last round, with nothing remembered, starts this one
            ema.copy_to(plain.parameters())
            optimizer.state.clear()
            ema.optimization_step = 0
        for group in optimizer.param_groups:
            group["lr"] = part.lr * learning_rate_share(part, in_round)
        loss = _loss(part, recipe.text, accelerator, autoencoder, editor, batch)
        accelerator.backward(loss)
        norm = float(accelerator.clip_grad_norm_(editor.parameters(), part.clip_norm) or 0.0)
        if not math.isfinite(norm):  # the step would make every weight NaN
            raise RunError(f"step {step}: the gradient is {norm}; lower flow.lr, with another --out")
        optimizer.step()
        optimizer.zero_grad()
        ema.step(plain.parameters())
        progress.step = step + 1
        if step % 20 == 0:
            log(step, {"flow/loss": loss.item(), "flow/gradient_norm": norm})
        if progress.step % recipe.validation.every == 0 or progress.step == len(data):
            log(progress.step, validate(build_pipeline(autoencoder, _averaged(plain, ema), recipe.text), recipe))
        if progress.step % recipe.checkpoint_every == 0 or progress.step == len(data):
            save_checkpoint(accelerator, checkpoint)
    return _averaged(plain, ema)


def learning_rate_share(part: FlowRecipe, step: int) -> float:
    """Linear warm-up, then a cosine down to `final_lr_share`; in [0, 1]. `step` counts from the round's start."""
    warm = min(1.0, (step + 1) / part.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / part.steps)))
    return warm * (part.final_lr_share + (1 - part.final_lr_share) * cosine)


def _loss(part, text, accelerator, autoencoder, editor, batch) -> torch.Tensor:
    device = accelerator.device
    pixels = torch.cat([torch.from_numpy(to_unit(batch[name])) for name in ("source", "target")]).to(device)
    with torch.no_grad(), accelerator.autocast():
        latents = autoencoder.encode(pixels).latent_dist.mode().float()
    latents = (latents - autoencoder.config.shift_factor) * autoencoder.config.scaling_factor
    height, width = latents.shape[-2] // 2, latents.shape[-1] // 2
    context, clean = pack(latents).chunk(2)
    changed = (context - clean).square().mean(-1) > 0.01
    context = context + part.context_noise * torch.rand(len(clean), 1, 1, device=device) * torch.randn_like(context)
    noise = torch.randn_like(clean)
    sigmas = sample_sigmas(len(clean), part.sigma_mean, part.sigma_std, device)
    prompt = tokenize(batch["prompt"], text, device)
    with accelerator.autocast():
        predicted = editor(
            torch.cat([interpolate(clean, noise, sigmas), context], dim=1),
            sigmas,
            prompt,
            position_ids(height, width, device),
        )[:, : clean.shape[1]]
    return flow_loss(predicted, noise - clean, changed, part.changed_share)


def _averaged(editor: Editor, ema: EMAModel) -> Editor:
    """A copy of the editor with the averaged weights, ready to sample."""
    averaged = copy.deepcopy(editor).eval().requires_grad_(False)
    ema.copy_to(averaged.parameters())
    return averaged
