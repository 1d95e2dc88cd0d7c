"""Networks as ONNX files."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from photonet.engine.examples import example_inputs
from photonet.engine.task import Network
from photonet.errors import UsageError, WeightsError
from photonet.io import write_atomic

TOLERANCE = 1e-4  # of the largest difference between ONNX Runtime and torch, both in float32


@dataclass(frozen=True)
class ExportReport:
    """Names of the inputs, and the largest difference to the original on a picture of another size."""

    inputs: tuple[str, ...]
    difference: float


def export_onnx(network: Network, module: nn.Module, path: Path) -> ExportReport:
    """Write a network with free height and width, and compare it with the original at another size.

    Height and width that it is given must be multiples of the network's stride.

    Raises:
        UsageError: the extra `export` is not installed, or ONNX cannot express the network.
        WeightsError: the two disagree; nothing is written then.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed", fix="pip install onnx onnxruntime onnxscript") from error
    module = network.deploy(module.eval())
    stride = network.tiling(module).stride
    names = ("picture", *network.maps)
    height, width = (torch.export.Dim(side, min=2, max=4096) for side in ("rows", "columns"))
    shape = {2: stride * height, 3: stride * width} if stride > 1 else {2: height, 3: width}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        try:
            torch.onnx.export(
                module,
                example_inputs(network, stride * 8, stride * 6),
                str(file),
                input_names=list(names),
                output_names=["result"],
                dynamic_shapes=tuple(shape for _ in names),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise UsageError("the network computes what ONNX cannot express", path) from error
        data = file.read_bytes()
    inputs = example_inputs(network, stride * 5, stride * 11)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})
    with torch.inference_mode():
        difference = (torch.from_numpy(result) - module(*inputs)).abs().max().item()
    if not difference <= TOLERANCE:  # NaN is none
        raise WeightsError(f"the exported network differs by {difference:.2g}", path)
    write_atomic(path, data, overwrite=True)
    return ExportReport(names, difference)
