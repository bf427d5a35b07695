"""First stage: an autoencoder that gives clean scenes back."""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# (diffusers exports its classes lazily and annotates them too narrowly)

import math
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL

from micebench.training.supervised.model_builder import build_autoencoder
from micebench.training.common.optimizers import build_optimizers, set_rate, split_parameters
from micebench.training.supervised.recipe import AutoencoderRecipe, FlowRecipe
from micebench.training.supervised.dataset import Batches, batches, to_unit


def train_autoencoder(
    part: AutoencoderRecipe, seed: int, accelerator: Accelerator, log: Callable[[int, dict[str, float]], None]
) -> AutoencoderKL:
    """Train from scratch; the latents' mean and scale are measured and stored in the config."""
    torch.manual_seed(seed)
    model = build_autoencoder(part).to(accelerator.device)
    ends = (model.encoder.conv_in, model.encoder.conv_out, model.decoder.conv_in, model.decoder.conv_out)
    optimizers = build_optimizers(*split_parameters(model, ends), lr=part.lr, beta2=0.99)
    data = Batches(seed + 7919, [FlowRecipe(steps=part.steps, batch=part.batch)])
    for step, batch in enumerate(batches(data, 0)):
        rate = part.lr * min(1.0, (step + 1) / part.warmup) * _cosine(step / part.steps)
        set_rate(optimizers, rate)
        # one image of each edit: source and target are too alike to teach much together
        pixels = np.concatenate([batch["source"][::2], batch["target"][1::2]])
        clean = torch.from_numpy(to_unit(pixels)).to(accelerator.device)
        soil = 2 * part.soil * torch.rand(len(clean), 1, 1, 1, device=clean.device)
        with accelerator.autocast():
            posterior = model.encode(clean + soil * torch.randn_like(clean)).latent_dist
            latents = posterior.mode()
            noise = part.latent_noise * torch.rand(len(clean), 1, 1, 1, device=clean.device)
            decoded = model.decode(latents + noise * latents.std() * torch.randn_like(latents)).sample
        error = decoded.float() - clean
        loss = error.abs().mean() + 2 * error.square().mean() + part.kl * posterior.kl().mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 50 == 0 or step + 1 == part.steps:
            psnr = -10 * math.log10(error.detach().square().mean().item() / 4)
            log(step, {"autoencoder/loss": loss.item(), "autoencoder/psnr_db": psnr})
    _calibrate(model, seed, accelerator)
    return model.eval()


@torch.no_grad()
def _calibrate(model: AutoencoderKL, seed: int, accelerator: Accelerator) -> None:
    """Latents of mean 0 and standard deviation 1, as the flow wants them, through the config's two numbers."""
    batch = Batches(seed + 104729, [FlowRecipe(steps=1, batch=128)])[0]
    pixels = torch.from_numpy(to_unit(batch["source"])).to(accelerator.device)
    latents = model.encode(pixels).latent_dist.mode().float()
    model.register_to_config(shift_factor=latents.mean().item(), scaling_factor=1 / latents.std().item())


def _cosine(share: float) -> float:
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
