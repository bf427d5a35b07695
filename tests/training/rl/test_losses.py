"""Losses and their gradients against loops, torch.distributions and the identities of their papers."""

import pytest

torch = pytest.importorskip("torch")

from micebench.training.rl.losses import gaussian_kl, grpo_loss, nft_loss, old_policy_decay, velocity_kl  # noqa: E402

B, N, C = 3, 4, 2
SIGMA = torch.tensor([1.0, 0.6, 0.2], dtype=torch.float64)
CHANGED = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.bool)


def tensors(seed=0):
    """(v, v_old, x, clean), float64."""
    generator = torch.Generator().manual_seed(seed)
    v, v_old, clean, noise = torch.randn((4, B, N, C), generator=generator, dtype=torch.float64)
    weight = SIGMA[:, None, None]
    return v, v_old, (1 - weight) * clean + weight * noise, clean


def slow_error(v, x, clean, sigma, changed, share):
    """One item, number by number: squared error of the clean latents over their mean absolute error."""
    squared, size = 0.0, 0.0
    marked = sum(changed) if changed is not None else 0
    for n in range(N):
        weight = (1 - share) / N + share * float(changed[n]) / marked if marked else 1 / N
        for c in range(C):
            off = x[n][c] - sigma * v[n][c] - clean[n][c]
            squared += weight * off**2 / C
            size += weight * abs(off) / C
    return squared, max(size, 1e-5)


def slow_nft(v, v_old, x, clean, advantage, beta, clip, changed, share):
    losses = []
    for b in range(B):
        r = 0.5 + max(-clip, min(clip, advantage[b])) / (2 * clip)
        good = [[beta * v[b][n][c] + (1 - beta) * v_old[b][n][c] for c in range(C)] for n in range(N)]
        bad = [[(1 + beta) * v_old[b][n][c] - beta * v[b][n][c] for c in range(C)] for n in range(N)]
        total = 0.0
        for velocity, part in ((good, r), (bad, 1 - r)):
            squared, size = slow_error(
                velocity, x[b], clean[b], SIGMA[b].item(), None if changed is None else changed[b], share
            )
            total += part * squared / size
        losses.append(clip * total / beta)
    return losses


@pytest.mark.parametrize("beta", [1.0, 0.1])
@pytest.mark.parametrize(("changed", "share"), [(None, 0.0), (CHANGED, 0.5)])
def test_nft_equals_its_loop(beta, changed, share):
    v, v_old, x, clean = tensors()
    advantage = torch.tensor([9.0, -0.7, 0.3], dtype=torch.float64)
    loss = nft_loss(v, v_old, x, clean, SIGMA, advantage, beta=beta, clip=5.0, changed=changed, changed_share=share)
    slow = slow_nft(
        *(t.tolist() for t in (v, v_old, x, clean)),
        advantage.tolist(),
        beta,
        5.0,
        None if changed is None else changed.tolist(),
        share,
    )
    assert loss.tolist() == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.1])
@pytest.mark.parametrize(("changed", "share"), [(None, 0.0), (CHANGED, 0.5)])
@pytest.mark.parametrize("advantage", [[9.0, -0.7, 0.3], [0.0, 0.0, 0.0], [-9.0, 5.0, 1e-3]])
def test_on_policy_nft_is_advantage_weighted_flow_matching(beta, changed, share, advantage):
    """At v = v_old the gradient is clamp(A) times that of fitting the sample; without advantage there is none."""
    _, v_old, x, clean = tensors()
    clip, worth = 5.0, torch.tensor(advantage, dtype=torch.float64)
    v = v_old.clone().requires_grad_()
    loss = nft_loss(v, v_old, x, clean, SIGMA, worth, beta=beta, clip=clip, changed=changed, changed_share=share)
    (gradient,) = torch.autograd.grad(loss.sum(), v)

    flow = torch.zeros_like(v_old)
    for b in range(B):
        marks = None if changed is None else changed[b].tolist()
        args = (x[b].tolist(), clean[b].tolist(), SIGMA[b].item(), marks, share)
        _, size = slow_error(v_old[b].tolist(), *args)
        leaf = v_old[b].clone().requires_grad_()
        squared, _ = slow_error(leaf, x[b], clean[b], SIGMA[b], marks, share)
        (flow[b],) = torch.autograd.grad(squared / size, leaf)
    torch.testing.assert_close(gradient, worth.clamp(-clip, clip)[:, None, None] * flow, rtol=1e-10, atol=1e-12)
    if not any(advantage):
        assert gradient.abs().max() < 1e-12
    else:
        assert gradient.abs().max() > 1e-4


def test_nft_gradients_are_right_off_policy_too():
    """One entry by the chain rule; the adaptive weight is a constant of the gradient."""
    v, v_old, x, clean = tensors()
    advantage = torch.tensor([2.0, -0.7, 0.0], dtype=torch.float64)
    v.requires_grad_()
    loss = nft_loss(v, v_old, x, clean, SIGMA, advantage, beta=0.5, clip=5.0)
    (gradient,) = torch.autograd.grad(loss.sum(), v)
    b, n, c, beta, sigma = 1, 2, 0, 0.5, SIGMA[1].item()
    r = 0.5 - 0.07
    numbers = [t.detach().tolist() for t in (v, v_old, x, clean)]
    here, old = v[b].detach(), v_old[b]
    by_hand = 0.0
    for velocity, part, sign in (
        ((beta * here + (1 - beta) * old).tolist(), r, 1),
        (((1 + beta) * old - beta * here).tolist(), 1 - r, -1),
    ):
        _, size = slow_error(velocity, numbers[2][b], numbers[3][b], sigma, None, 0.0)
        off = numbers[2][b][n][c] - sigma * velocity[n][c] - numbers[3][b][n][c]
        by_hand += part * sign * 2 * off * -sigma * beta / (N * C * size)
    assert gradient[b, n, c].item() == pytest.approx(5.0 * by_hand / beta, rel=1e-10)


def test_nft_leaves_the_sampling_policy_alone_and_works_in_float32():
    v, v_old, x, clean = (t.bfloat16() for t in tensors())
    v.requires_grad_()
    v_old.requires_grad_()
    loss = nft_loss(v, v_old, x, clean, SIGMA.float(), torch.ones(B), beta=1.0, clip=5.0)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert v_old.grad is None
    assert v.grad.abs().max() > 0


def test_a_perfect_sample_divides_by_no_zero():
    _, _, x, clean = tensors()
    exact = (x - clean) / SIGMA[:, None, None]
    loss = nft_loss(exact, exact, x, clean, SIGMA, torch.ones(B), beta=1.0, clip=5.0)
    assert loss.abs().max() < 1e-12


def test_the_ratio_is_one_on_unchanged_weights():
    """The loss is then minus the advantage, and its gradient the policy gradient."""
    old = torch.tensor([-0.3, 0.2, 1.0], dtype=torch.float64)
    new = old.clone().requires_grad_()
    advantage = torch.tensor([2.0, -1.0, 9.0], dtype=torch.float64)
    loss, ratio = grpo_loss(new, old, advantage, clip_low=1e-5, clip_high=1e-5, advantage_clip=5.0)
    assert loss.tolist() == [-2.0, 1.0, -5.0]
    assert (ratio.ratio, ratio.off, ratio.clipped) == (1, 0, 0)
    (gradient,) = torch.autograd.grad(loss.sum(), new)
    assert gradient.tolist() == [-2.0, 1.0, -5.0]


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "counts", "moves"),
    [
        (0.01, 1.0, 1.002, False),  # good, and likelier than the clip allows: enough
        (0.01, -1.0, None, True),  # bad, but likelier: back
        (-0.01, 1.0, None, True),  # good, but less likely: back
        (-0.01, -1.0, 0.999, False),  # bad, and less likely than the clip allows: enough
        (0.0015, 1.0, None, True),  # within the upper range
        (-0.0015, -1.0, 0.999, False),  # beyond the lower
    ],
)
def test_grpo_clips_only_what_has_gone_far_enough(log_ratio, advantage, counts, moves):
    new = torch.tensor([log_ratio], dtype=torch.float64, requires_grad=True)
    loss, ratio = grpo_loss(
        new, torch.zeros(1).double(), torch.tensor([advantage]), clip_low=1e-3, clip_high=2e-3, advantage_clip=5.0
    )
    expected = counts if counts is not None else torch.tensor(log_ratio, dtype=torch.float64).exp().item()
    assert loss.item() == pytest.approx(-advantage * expected, rel=1e-9)
    loss.sum().backward()
    assert (new.grad.abs().item() > 0) == moves
    assert ratio.clipped.item() == (0 if moves else 1)


def test_one_advantage_serves_all_steps_of_a_window():
    new = torch.tensor([[0.01, -0.01], [0.0, 0.0]], dtype=torch.float64)
    advantage = torch.tensor([1.0, -2.0])
    loss, ratio = grpo_loss(new, 0 * new, advantage, clip_low=1e-3, clip_high=2e-3, advantage_clip=5.0)
    assert loss[0].tolist() == pytest.approx([-1.002, -torch.tensor(-0.01).double().exp().item()], rel=1e-6)
    assert loss[1].tolist() == [2.0, 2.0]
    assert ratio.clipped == 0.25
    assert ratio.off == pytest.approx(0.01, rel=0.01)


def test_the_kl_is_exact():
    generator = torch.Generator().manual_seed(0)
    mean, reference = torch.randn((2, B, N, C), generator=generator)
    std = torch.tensor([0.1, 1.0, 2.0]).reshape(B, 1, 1)
    normals = (torch.distributions.Normal(m, std.expand_as(m)) for m in (mean, reference))
    expected = torch.distributions.kl_divergence(*normals).mean((1, 2))
    torch.testing.assert_close(gaussian_kl(mean, reference, std), expected)


def test_velocity_distances_are_mean_squares():
    v, v_ref, *_ = tensors()
    expected = [((v[b] - v_ref[b]) ** 2).sum().item() / (N * C) for b in range(B)]
    assert velocity_kl(v, v_ref).tolist() == pytest.approx(expected)


def test_old_policies_follow_at_the_published_pace():
    assert [old_policy_decay(step, "on_policy") for step in (0, 10, 10_000)] == [0, 0, 0]
    assert [old_policy_decay(step, "slow") for step in (0, 100, 500, 10_000)] == pytest.approx([0, 0.1, 0.5, 0.5])
    slower = [old_policy_decay(step, "slower") for step in (0, 75, 76, 175, 10_000)]
    assert slower == pytest.approx([0, 0, 0.0075, 0.75, 0.999])
    assert [old_policy_decay(step, 0.9) for step in (0, 10_000)] == [0.9, 0.9]
