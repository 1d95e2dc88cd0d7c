"""Computational photography with trained networks.

    import photonet
    clean = photonet.run("denoise", "night.jpg")           # a Photo
    photonet.write(clean, "night-clean.jpg")

Nothing heavy is imported before it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photonet.photo import Photo

__all__ = ["develop", "read", "run", "write"]


def run(
    task: str,
    picture: "Photo | str | Path | Sequence[Photo | str | Path]",
    *,
    net: str | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    device: str = "auto",
    precision: str = "auto",
    tile: int = 0,
    max_memory: float = 0,
    strength: float = 1.0,
    **options: Any,
) -> "Photo":
    """Run a task on a picture.

    Args:
        task: name of the task, as on the command line.
        picture: a Photo or a file; several for tasks that merge pictures.
        net: name of a network of the task; None lets the task choose.
        weights: names of shipped weights, or files, that replace the default ones.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, fp16 or bf16.
        tile: largest side of a tile in pixels, 0 for an automatic choice.
        max_memory: for the features of a tile, in GB; 0 for an automatic choice.
        strength: 0 gives the input, 1 the full result.
        options: of the task, as its flags are called.

    Returns:
        The result in the depth and color state of the (first) input. A RAW picture stays RAW: `write` makes a DNG of
        it, `develop` a display picture.

    Raises:
        PhotonetError: a subclass says what was wrong: usage, input, weights or device.
    """
    from photonet.engine import checkpoint
    from photonet.engine.device import pick_device
    from photonet.engine.infer import Engine
    from photonet.engine.recipe import make_options
    from photonet.errors import UsageError
    from photonet.io import read as read_file
    from photonet.photo import Photo
    from photonet.tasks import get_task

    definition = get_task(task)
    given = [picture] if isinstance(picture, Photo | str | Path) else list(picture)
    if not given:
        raise UsageError("no picture was given", "picture", "give a Photo or a file")
    photos = [item if isinstance(item, Photo) else read_file(item) for item in given]
    names = [str(name) for name in ([weights] if isinstance(weights, str | Path) else weights)]
    files, net = checkpoint.choose(definition, names, net)
    where = pick_device(device, precision)
    engine = Engine(definition, where, files, net=net, tile=tile, max_memory=max_memory * 1e9, strength=strength)
    return engine.run(photos, make_options(definition.options, options)).photo


def develop(picture: "Photo | str | Path", **options: Any) -> "Photo":
    """A RAW picture as a display picture, 16 bits.

    Args:
        picture: a Photo in state `mosaic` or `camera`, or a RAW file.
        options: as the flags of `photonet develop` are called: exposure in stops or "auto", curve.

    Raises:
        PhotonetError: a subclass says what was wrong: usage, or input.
    """
    from photonet.engine.develop import Development
    from photonet.engine.develop import develop as develop_photo
    from photonet.engine.recipe import make_options
    from photonet.io import read as read_file
    from photonet.photo import Photo

    photo = picture if isinstance(picture, Photo) else read_file(picture)
    return develop_photo(photo, make_options(Development, options))


def __getattr__(name: str) -> Any:
    if name in ("read", "write"):
        import photonet.io

        return getattr(photonet.io, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("photonet")
    raise AttributeError(f"module 'photonet' has no attribute {name!r}")
