"""Weights of other projects: renamed, and never executed."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from photonet.engine.foreign import MATLAB_HDF5, read_foreign
from photonet.engine.infer import Engine
from photonet.engine.metrics import psnr
from photonet.errors import WeightsError
from photonet.io import read
from photonet.photo import Photo
from photonet.tasks.denoise import TASK
from photonet.tasks.denoise.display import gaussian_trial
from photonet.tasks.denoise.options import DenoiseOptions


def kair_net(channels=1, depth=4, width=6):
    """KAIR's order of layers: convolutions and ReLUs in `model`, batch norm folded."""
    layers = []
    for index in range(depth):
        layers += [
            nn.Conv2d(channels if index == 0 else width, channels if index == depth - 1 else width, 3, padding=1)
        ]
        layers += [nn.ReLU()] if index < depth - 1 else []
    return nn.Sequential(*layers)


def kair_state(net):
    return {f"model.{name}": tensor for name, tensor in net.state_dict().items()}


def imported(path):
    """The card and the network that the tensors fit."""
    card, tensors = read_foreign(path, [TASK])
    module = TASK.networks[card.network].build(card.config)
    module.load_state_dict(tensors)
    return card, module.eval()


@pytest.mark.parametrize(("channels", "network"), [(1, "dncnn-gray"), (3, "dncnn-color")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_kair(channels, network, wrapped, tmp_path, generator):
    torch.manual_seed(1)
    net, path = kair_net(channels), tmp_path / "model.pth"
    state = kair_state(net)
    torch.save({"params": state} if wrapped else state, path)
    card, module = imported(path)
    assert (card.task, card.network) == ("denoise", network)
    assert card.config == {"channels": channels, "depth": 4, "width": 6, "folded": True}
    picture = torch.rand(1, channels, 9, 11, generator=generator)
    torch.testing.assert_close(module(picture), picture - net(picture))


def matconvnet(path, layers):
    """A network as MATLAB 7.3 writes it: HDF5 behind 512 bytes of text, axes reversed, cells as references.

    Args:
        layers: weights (rows, columns, in, out) and biases of the convolutions, with a ReLU after each.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        references = []

        def keep(name, array):
            return file.create_dataset(f"#refs#/{name}", data=array).ref

        for number, (weight, bias) in enumerate(layers):
            conv = file.create_group(f"#refs#/conv{number}")
            conv["type"] = np.frombuffer(b"conv", np.uint8).astype(np.uint16)[:, None]
            cells = [keep(f"w{number}", weight.transpose()), keep(f"b{number}", bias[None])]
            conv.create_dataset("weights", data=np.array(cells, h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype)
            relu = file.create_group(f"#refs#/relu{number}")
            relu["type"] = np.frombuffer(b"relu", np.uint8).astype(np.uint16)[:, None]
            references += [conv.ref, relu.ref]
        layers = np.array(references, h5py.ref_dtype)[:, None]
        file.create_dataset("net/layers", data=layers, dtype=h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(MATLAB_HDF5 + b", Platform: GLNXA64")


def test_matconvnet(tmp_path, generator):
    rng, path = np.random.default_rng(0), tmp_path / "net.mat"
    shapes = [(3, 3, 3, 5), (3, 3, 5, 5), (3, 3, 5, 3)]
    layers = [(rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[-1])) for shape in shapes]
    matconvnet(path, layers)
    card, module = imported(path)
    assert card.network == "dncnn-color"
    assert card.config == {"channels": 3, "depth": 3, "width": 5, "folded": True}
    convs = [layer for layer in module.body if isinstance(layer, nn.Conv2d)]
    for conv, (weight, bias) in zip(convs, layers, strict=True):
        for row, column, source, target in ((0, 2, 1, 2), (2, 0, 2, 1), (1, 1, 0, 0)):
            assert conv.weight[target, source, row, column].item() == weight[row, column, source, target]
        np.testing.assert_allclose(conv.bias.detach().numpy(), bias, rtol=1e-6)


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return Path.touch, (Path(self.target),)


class Shell(Malicious):
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("kind", [Malicious, Shell])
@pytest.mark.parametrize("legacy", [False, True])
def test_error_pickled_code_is_not_run(kind, legacy, tmp_path):
    path, target = tmp_path / "model.pth", tmp_path / "it-ran"
    torch.save({**kair_state(kair_net()), "extra": kind(target)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="not a torch file of plain tensors") as caught:
        read_foreign(path, [TASK])
    assert caught.value.where == str(path)
    assert not target.exists()


def test_error_plain_pickle_is_not_run(tmp_path):
    path, target = tmp_path / "model.pkl", tmp_path / "it-ran"
    path.write_bytes(pickle.dumps(Shell(target)))
    with pytest.raises(WeightsError):
        read_foreign(path, [TASK])
    assert not target.exists()
    pickle.loads(path.read_bytes())  # it would have worked
    assert target.exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 broken", MATLAB_HDF5 + b" but no HDF5"])
def test_error_damaged(content, tmp_path):
    if content.startswith(MATLAB_HDF5):
        pytest.importorskip("h5py")
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_foreign(path, [TASK])
    assert caught.value.where == str(path)


def test_error_truncated(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(kair_state(kair_net()), path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match="not a torch file"):
        read_foreign(path, [TASK])


def test_error_matlab_of_something_else(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "other.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a"] = np.zeros(3)
    with path.open("r+b") as file:
        file.write(MATLAB_HDF5)
    with pytest.raises(WeightsError, match="not a MatConvNet network"):
        read_foreign(path, [TASK])


def test_error_not_there(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        read_foreign(tmp_path / "missing.pth", [TASK])


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, torch.zeros(3)])
def test_error_no_state_dictionary(content, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="holds no state dictionary"):
        read_foreign(path, [TASK])


def test_error_of_no_known_network(tmp_path):
    path = tmp_path / "model.pth"
    for state in ({"fc.weight": torch.zeros(3, 4)}, {}, kair_state(kair_net(channels=2))):
        torch.save(state, path)
        with pytest.raises(WeightsError, match="no network of photonet has these weights"):
            read_foreign(path, [TASK])


def scored(path, net, picture, device):
    """Decibels of a published network on a picture at sigma 25, by the whole engine."""
    _, module = imported(path)
    engine = Engine(TASK, device, {}, net=net)
    engine.add(net, module)
    clean = picture.astype(np.float32) / 255
    noisy = gaussian_trial(25, {}).degrade(clean, 0)
    return psnr(engine.run([Photo(noisy)], DenoiseOptions()).photo.pixels, clean)


def test_value_published_color(peers, data_folder, cpu):
    """The authors' blind color network gives the decibels that `peers/cdncnn.py` gives without photonet.

    The bound is tight because kernels with rows and columns exchanged lose nothing: they give 28.6795 here.
    """
    pytest.importorskip("h5py")
    weights = peers / "cdncnn_blind_color.mat"
    card, _ = read_foreign(weights, [TASK])
    assert card.config == {"channels": 3, "depth": 20, "width": 64, "folded": True}
    picture = read(data_folder / "test" / "CBSD68" / "0008.png").pixels[80:208, 100:228]
    assert scored(weights, "dncnn-color", picture, cpu) == pytest.approx(28.6770, abs=0.001)


# TIP 2017, table IV: DnCNN-S at sigma 25 on Set12; its mean is 30.43 dB over all twelve
@pytest.mark.parametrize(("number", "published"), [(1, 30.18), (2, 33.06), (7, 29.43)])
def test_value_published_gray(number, published, peers, data_folder, cpu):
    picture = read(data_folder / "test" / "Set12" / f"{number:02d}.png").pixels
    decibels = scored(peers / "dncnn_gray_25.pth", "dncnn-gray", picture, cpu)
    assert decibels == pytest.approx(published, abs=0.1)  # one draw of the noise moves it by some 0.03 dB
