"""The optimizer: orthogonal updates, Adam by hand, running averages."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from photonet.engine.optim import SMALLEST_MATRIX, Ema, Muon, gradient_norm, orthogonal


def singular_values(matrix):
    return torch.linalg.svdvals(matrix.double())


@pytest.mark.parametrize("shape", [(32, 288), (288, 32), (32, 64), (64, 128), (32, 33), (40, 40)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_orthogonal(shape, scale, generator):
    """Singular values near 1 for a matrix whose own lie within a factor of 10, whatever its scale."""
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    spectrum = torch.logspace(0, -1, min(shape))
    result = orthogonal(scale * (left * spectrum) @ right)
    assert result.dtype == torch.float32
    values = singular_values(result)
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert ((left.T @ result @ right.T).diagonal() > 0.6).all()  # the directions are those of the matrix


def test_orthogonal_of_zero():
    assert torch.equal(orthogonal(torch.zeros(8, 8)), torch.zeros(8, 8))


def groups_of(module):
    return {group["muon"]: len(group["params"]) for group in Muon(module, 1e-3).param_groups}


def test_which_weights_are_matrices():
    inner = SMALLEST_MATRIX
    assert groups_of(nn.Conv2d(inner, inner, 3)) == {True: 1, False: 1}  # the bias is none
    assert groups_of(nn.Conv2d(3, inner, 3)) == {False: 2}  # from colors, not from features
    assert groups_of(nn.Linear(64, 64)) == {False: 2}
    assert groups_of(nn.Conv2d(inner, inner, 3, bias=False)) == {True: 1}


def test_muon_update_has_the_size_of_adam(generator):
    """Root mean square 0.2, as Adam's updates have: 0.2·sqrt(max(rows, columns))·U."""
    conv = nn.Conv2d(64, 64, 3, bias=False)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.randn(conv.weight.shape, generator=generator)
    Muon(conv, lr=1.0, weight_decay=0).step()
    update = conv.weight.detach() - before
    assert 0.2 * 0.7 < update.square().mean().sqrt().item() < 0.2 * 1.2  # as the singular values lie
    assert (update * conv.weight.grad).sum() < 0  # downhill


def test_muon_fits_a_convolution(generator):
    truth, conv = nn.Conv2d(32, 32, 3, bias=False), nn.Conv2d(32, 32, 3, bias=False)
    truth.weight.data.copy_(torch.randn(truth.weight.shape, generator=generator) / 17)
    conv.weight.data.zero_()
    picture = torch.randn(4, 32, 10, 10, generator=generator)
    target = truth(picture).detach()
    optimizer, losses = Muon(conv, lr=0.02, weight_decay=0), []
    for step in range(40):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / 40)
        loss = F.mse_loss(conv(picture), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_value_adam():
    """Two steps by hand: gradients 2 and 1, betas 0.9 and 0.98, rate 0.1."""
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1.0)
    optimizer = Muon(module, lr=0.1, weight_decay=0)
    module.weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    assert module.weight.item() == pytest.approx(0.9, abs=1e-6)  # the first step is the rate, downhill
    module.weight.grad = torch.tensor([[1.0]])
    optimizer.step()
    mean = (0.9 * 0.2 + 0.1 * 1) / (1 - 0.81)
    square = (0.98 * 0.08 + 0.02 * 1) / (1 - 0.9604)
    assert module.weight.item() == pytest.approx(0.9 - 0.1 * mean / math.sqrt(square), abs=1e-6)


def test_adam_agrees_with_torch(generator):
    def train(make):
        torch.manual_seed(2)
        module = nn.Conv2d(3, 8, 3)
        optimizer = make(module)
        for _ in range(5):
            optimizer.zero_grad()
            module(torch.ones(1, 3, 5, 5)).square().mean().backward()
            optimizer.step()
        return module.state_dict()

    own = train(lambda module: Muon(module, 1e-2, weight_decay=0))
    torchs = train(lambda module: torch.optim.AdamW(module.parameters(), 1e-2, (0.9, 0.98), weight_decay=0))
    for name, tensor in torchs.items():
        torch.testing.assert_close(own[name], tensor)


def test_weight_decay():
    """Weights shrink by rate × decay, biases do not."""
    module = nn.Linear(1, 1)
    module.weight.data.fill_(2.0)
    module.bias.data.fill_(2.0)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    Muon(module, lr=0.1, weight_decay=0.5).step()
    assert module.weight.item() == pytest.approx(2 * (1 - 0.05))
    assert module.bias.item() == 2


def test_parameters_without_a_gradient_stay():
    module = nn.Conv2d(32, 32, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    Muon(module, lr=1.0).step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_state_goes_on(generator):
    """Stopped and restored, the next steps are bit-identical."""
    torch.manual_seed(0)
    first = nn.Conv2d(32, 32, 3)
    gradients = [torch.randn(first.weight.shape, generator=generator) for _ in range(4)]

    def steps(module, optimizer, some):
        for gradient in some:
            module.weight.grad, module.bias.grad = gradient.clone(), gradient[:, 0, 0, 0].clone()
            optimizer.step()

    optimizer = Muon(first, 1e-2)
    steps(first, optimizer, gradients[:2])
    second = nn.Conv2d(32, 32, 3)
    second.load_state_dict(first.state_dict())
    restored = Muon(second, 1e-2)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for module, going in ((first, optimizer), (second, restored)):
        steps(module, going, gradients[2:])
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_value_ema():
    """Decay min(0.5, (step + 1)/(step + 10)): a tenth of the old at step 0, half of it in the long run."""
    norm = nn.BatchNorm1d(1)
    ema = Ema(norm, 0.5)
    norm.weight.data.fill_(2.0)
    norm.num_batches_tracked.fill_(7)
    ema.update(norm, step=0)
    assert ema.state["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert ema.state["num_batches_tracked"].item() == 7  # counted, not averaged
    ema.update(norm, step=100)
    assert ema.state["weight"].item() == pytest.approx(0.5 * 1.9 + 0.5 * 2)
    assert norm.weight.item() == 2  # the module itself is left alone


def test_value_gradient_norm():
    module = nn.Linear(1, 1)
    module.weight.grad, module.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    assert gradient_norm(module.parameters()).item() == pytest.approx(5)
    module.bias.grad = None
    assert gradient_norm(module.parameters()).item() == pytest.approx(3)
