"""Devices by name: what is not there is an error, never a silent CPU."""

import os

import pytest
import torch

from photonet.engine import device as module
from photonet.engine.device import Device, cpu_flags, is_out_of_memory, pick_device
from photonet.errors import DeviceError, ExitCode, UsageError


@pytest.fixture(autouse=True)
def _keep_environment(monkeypatch):
    """`pick_device` sets a variable of torch's: put it back."""
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")


def without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cpu(precision):
    device = pick_device("cpu", precision)
    assert (device.device.type, device.precision, str(device)) == ("cpu", precision, f"cpu {precision}")


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_on_a_cpu(has_bf16, precision, monkeypatch):
    without_gpus(monkeypatch)
    monkeypatch.setattr(module, "cpu_has_bf16", lambda: has_bf16)
    assert str(pick_device()) == f"cpu {precision}"


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_on_a_gpu(capability, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert str(pick_device()) == f"cuda:0 {precision}"
    assert str(pick_device("cuda:1", "fp32")) == "cuda:1 fp32"
    with pytest.raises(DeviceError, match="there is no cuda:2: 2 CUDA devices found"):
        pick_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_error_missing_gpu(name, monkeypatch):
    without_gpus(monkeypatch)
    with pytest.raises(DeviceError, match=f"there is no {name}: 0 CUDA devices found") as caught:
        pick_device(name)
    assert caught.value.code == ExitCode.DEVICE
    with pytest.raises(DeviceError, match="no Apple GPU"):
        pick_device("mps")


@pytest.mark.parametrize(("name", "match"), [("banana", "is not a device"), ("meta", "is not supported")])
def test_error_name(name, match):
    with pytest.raises(UsageError, match=match) as caught:
        pick_device(name)
    assert caught.value.where == "--device"


def test_error_precision():
    with pytest.raises(UsageError, match="unknown precision 'fp8'"):
        pick_device("cpu", "fp8")
    with pytest.raises(UsageError, match="fp16 is not for CPUs"):
        pick_device("cpu", "fp16")


@pytest.mark.parametrize(
    ("text", "flags"), [("flags\t\t: fpu avx2 amx_bf16\n", {"fpu", "avx2", "amx_bf16"}), ("", set())]
)
def test_cpu_flags(text, flags, monkeypatch):
    monkeypatch.setattr(module.Path, "read_text", lambda path: f"processor : 0\n{text}")
    assert cpu_flags() == flags
    module.cpu_has_bf16.cache_clear()
    assert module.cpu_has_bf16() == bool(flags)
    module.cpu_has_bf16.cache_clear()


def test_cpu_flags_where_linux_is_not(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(module.Path, "read_text", missing)
    assert cpu_flags() == set()


def test_huge_pages_unless_the_user_says_otherwise(monkeypatch):
    pick_device("cpu", "fp32")
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    pick_device("cpu", "fp32")
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("sizes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) == expected


def test_a_real_failure_of_the_allocator_is_recognized():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_precision_of_a_device():
    assert Device(torch.device("cpu"), torch.float16).precision == "fp16"
