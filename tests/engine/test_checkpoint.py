"""Weights on disk: the same bits again, and no damage goes unnoticed."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card, Data, Score, build, load_strictly, read_card, read_tensors, save
from photonet.engine.task import Network, Task, Tiling
from photonet.errors import ExitCode, WeightsError

CARD = Card(
    task="testing",
    network="net",
    config={"width": 3},
    recipe={"steps": 10, "lr": 2e-3},
    scores=(Score(dataset="Set12", condition="sigma 25", protocol="gray", pictures=12, precision="fp32", psnr=30.43),),
    data=Data(count=7, sha256="abc", sources=("our own",)),
    licence="CC0-1.0",
)


def module_of(width=3):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


TASK = Task("testing", "for tests", {"net": Network("a net", lambda config: module_of(**config), lambda net: Tiling())})


@pytest.fixture
def saved(tmp_path):
    """A file, and what was put into it."""
    torch.manual_seed(3)
    path, tensors = tmp_path / "mine.safetensors", module_of().state_dict()
    return path, save(path, CARD, tensors, torch.float32), tensors


def with_card(path, change):
    """Replace the card in a file's header by what `change` makes of it, without touching the tensors."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["photonet"] = change(header["__metadata__"]["photonet"])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def change_field(path, field, value):
    with_card(path, lambda text: json.dumps({**json.loads(text), field: value}))


def test_same_bits_again(saved):
    path, card, tensors = saved
    read, found = read_tensors(path)
    assert read == card
    assert read.model_copy(update={"digest": ""}) == CARD
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_built_again(saved):
    path, _, tensors = saved
    network, module = build(TASK, *read_tensors(path), path)
    assert network is TASK.networks["net"]
    assert not module.training
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in module.state_dict().items())


def test_half_precision_by_default(tmp_path):
    path, values = tmp_path / "half.safetensors", torch.tensor([[1 / 3, 1000.1, 2.0]])
    save(path, CARD, {"a": values, "variance": values[0] * 1e-6, "count": torch.tensor(70_000)})
    _, found = read_tensors(path)
    assert torch.equal(found["variance"], values[0] * 1e-6)  # float16 would lose most of its digits
    assert found["a"].dtype == torch.float16
    assert torch.equal(found["a"], values.half())
    assert found["count"].item() == 70_000  # integers stay what they are


def test_saved_over(saved):
    path, _, tensors = saved
    save(path, CARD.model_copy(update={"licence": "MIT"}), tensors)
    assert read_card(path).licence == "MIT"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_same_content_has_the_same_digest(saved, tmp_path):
    _, card, tensors = saved
    again = save(tmp_path / "again.safetensors", CARD, dict(reversed(tensors.items())), torch.float32)
    assert again.digest == card.digest
    assert len(card.digest) == 64


def test_card_is_json_in_the_header(saved):
    """Without torch or safetensors: a length, then JSON."""
    path, card, _ = saved
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    content = json.loads(header["__metadata__"]["photonet"])
    assert content["format"] == 1
    assert content["config"] == {"width": 3}
    assert content == card.model_dump(mode="json")


def test_card_is_read_without_the_tensors(saved):
    path, card, _ = saved
    content = bytearray(path.read_bytes())
    content[-40:] = bytes(40)
    path.write_bytes(content)
    assert read_card(path) == card


@pytest.mark.parametrize("place", [-1, -17])
def test_error_flipped_bit_in_the_tensors(place, saved):
    path, _, _ = saved
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="does not match its digest") as caught:
        read_tensors(path)
    assert caught.value.where == str(path)
    assert caught.value.code == ExitCode.WEIGHTS


@pytest.mark.parametrize(
    ("field", "value"), [("licence", "CC0-1.1"), ("config", {"width": 4}), ("recipe", {}), ("digest", "0" * 64)]
)
def test_error_changed_card(field, value, saved):
    path, _, _ = saved
    change_field(path, field, value)
    assert getattr(read_card(path), field) == value
    with pytest.raises(WeightsError, match="does not match its digest"):
        read_tensors(path)


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_error_truncated(length, saved):
    path, _, _ = saved
    path.write_bytes(path.read_bytes()[:length])
    for read in (read_card, read_tensors):
        with pytest.raises(WeightsError, match="damaged or not a safetensors file"):
            read(path)


def test_error_text(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_text("these are no weights, " * 10)
    with pytest.raises(WeightsError, match="damaged or not a safetensors file"):
        read_card(path)


def test_error_not_there(tmp_path):
    for path in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="no such weights"):
            read_card(path)


def test_error_no_card(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="has no photonet card") as caught:
        read_card(path)
    assert "photonet models import" in caught.value.fix


@pytest.mark.parametrize("value", [2, 0, None, "1"])
def test_error_unknown_format(value, saved):
    path, _, _ = saved
    change_field(path, "format", value)
    with pytest.raises(WeightsError, match=f"card format {value!r} is unknown"):
        read_card(path)


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"format": 1}', '{"format": 1, "task": "t", "network": "n", "x": 1}']
)
def test_error_damaged_card(text, saved):
    path, _, _ = saved
    with_card(path, lambda card: text)
    with pytest.raises(WeightsError, match="the card is damaged"):
        read_card(path)


def test_error_every_difference_is_listed():
    tensors = module_of().state_dict()
    del tensors["0.bias"], tensors["1.running_mean"]
    tensors |= {"0.weight": torch.zeros(4, 1, 3, 3), "head.weight": torch.zeros(1), "head.bias": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load_strictly(module_of(), tensors, "mine.safetensors")
    assert caught.value.what == (
        "does not fit the network: 0.weight is (4, 1, 3, 3), not (3, 1, 3, 3), missing 0.bias, "
        "missing 1.running_mean, unknown head.bias, unknown head.weight"
    )
    assert caught.value.where == "mine.safetensors"


def test_error_other_task_or_network(saved):
    path, card, tensors = saved
    with pytest.raises(WeightsError, match="these weights are for testing, not for merge"):
        build(Task("merge", "", TASK.networks), card, tensors, path)
    with pytest.raises(WeightsError, match="testing has no network 'net'") as caught:
        build(Task("testing", "", {"a": TASK.networks["net"], "b": TASK.networks["net"]}), card, tensors, path)
    assert caught.value.fix == "it has a, b"


@pytest.mark.parametrize("config", [{"depth": 3}, {"width": "three"}])
def test_error_config(config, saved):
    path, card, tensors = saved
    with pytest.raises(WeightsError, match="its configuration cannot be built"):
        build(TASK, card.model_copy(update={"config": config}), tensors, path)


def test_find_and_choose(saved, tmp_path, monkeypatch):
    """Shipped weights by name, replaced by the user's own."""
    own, _, tensors = saved
    folder = tmp_path / "shipped"
    folder.mkdir()
    shipped = folder / "testing-net.safetensors"
    save(shipped, CARD, tensors)
    save(folder / "testing-other.safetensors", CARD, tensors)  # of a network that is no longer there
    save(folder / "merge-net.safetensors", CARD.model_copy(update={"task": "merge"}), tensors)
    monkeypatch.setattr(checkpoint, "files", lambda package: folder)
    names = [path.stem for path in checkpoint.shipped()]
    assert names == ["merge-net", "testing-net", "testing-other"]
    assert checkpoint.find("testing-net") == shipped
    assert checkpoint.find(str(own)) == own
    assert checkpoint.choose(TASK, []) == ({"net": shipped}, None)
    assert checkpoint.choose(TASK, [str(own)]) == ({"net": own}, "net")
    with pytest.raises(WeightsError, match="these weights are for merge, not for testing"):
        checkpoint.choose(TASK, ["merge-net"])
    with pytest.raises(WeightsError, match="no such weights") as caught:
        checkpoint.find("testing-nett")
    assert "merge-net, testing-net, testing-other" in caught.value.fix
