"""`photonet models`: what weights there are, and weights from and to elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from photonet.errors import ExitCode

from . import flags
from .console import fail, out, table

app = typer.Typer(help="List, show, verify, import and export weights.", no_args_is_help=True)


def add_to(root: typer.Typer) -> None:
    """Put the commands into the application."""
    root.add_typer(app, name="models")


@app.command("list")
def list_models(as_json: flags.JSON = False) -> None:
    """Shipped weights with their scores, and the networks of every task."""
    from photonet.engine.checkpoint import read_card, shipped
    from photonet.tasks import CATALOG, get_task

    found = {(card.task, card.network): (path, card) for path in shipped() for card in [read_card(path)]}
    rows = []
    for name in CATALOG:
        task = get_task(name)
        for network, definition in task.networks.items():
            path, card = found.get((name, network), (None, None))
            scores = [f"{s.dataset}, {s.condition}: {s.psnr:.2f} dB" for s in card.scores] if card else []
            shipped_as = path.stem if path else "no weights shipped"
            rows.append([name, network, definition.summary, shipped_as, scores if as_json else _headline(scores)])
    columns = ["task", "network", "summary", "weights", "scores"]
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]))
    else:
        table("networks", columns, rows)


def _headline(scores: Sequence[str]) -> str:
    """The first score; `photonet models show` has the others."""
    return scores[0] + (f" (+{len(scores) - 1})" if scores[1:] else "") if scores else ""


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of shipped weights, or a file.")], as_json: flags.JSON = False
) -> None:
    """The card of weights: what they are, what made them, what they score."""
    from photonet.engine.checkpoint import find, read_card

    card = read_card(find(name))
    if as_json:
        print(card.model_dump_json())
        return
    fields = card.model_dump(mode="json", exclude={"scores"})
    out.print_json(json.dumps(fields))
    columns = ["dataset", "condition", "psnr", "ssim", "pictures", "precision"]
    table("scores", columns, [[getattr(score, column) for column in columns] for score in card.scores])


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names or files; all shipped weights without any.")] = None,
    verbose: flags.VERBOSE = 0,
) -> None:
    """Check that weights are whole and unchanged, and that their networks can be built."""
    from photonet.engine.checkpoint import build, find, read_tensors, shipped
    from photonet.errors import PhotonetError
    from photonet.tasks import get_task

    code = ExitCode.OK
    for path in [find(name) for name in names] if names else shipped():
        try:
            card, tensors = read_tensors(path)
            build(get_task(card.task), card, tensors, path)
        except PhotonetError as error:
            fail(error, verbose)
            code = error.code
        else:
            out.print(f"{path.name}: {card.task} {card.network}, {card.digest[:16]}", markup=False)
    raise typer.Exit(int(code))


@app.command("import")
def import_weights(
    source: Annotated[Path, typer.Argument(help="KAIR's DnCNN (.pth), or MatConvNet's (.mat).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    origin: Annotated[str, typer.Option(help="Where they come from, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Of the weights, for the card.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    verbose: flags.VERBOSE = 0,
) -> None:
    """Take in the weights of a published DnCNN, by renaming what is in the file; nothing in it is executed."""
    from photonet.engine.checkpoint import save
    from photonet.engine.foreign import read_foreign
    from photonet.io.atomic import check_target
    from photonet.tasks import CATALOG, get_task

    check_target(output, overwrite)
    card, tensors = read_foreign(source, [get_task(name) for name in CATALOG])
    card = card.model_copy(update={"origin": origin or source.name, "licence": licence or "unknown"})
    saved = save(output, card, tensors, next(iter(tensors.values())).dtype)
    out.print(f"{output}: {saved.task} {saved.network} {saved.config}", markup=False)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of shipped weights, or a file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    verbose: flags.VERBOSE = 0,
) -> None:
    """Write a network as ONNX with free height and width, and check it against the original."""
    from photonet.engine.checkpoint import build, find, read_tensors
    from photonet.engine.export import export_onnx
    from photonet.io.atomic import check_target
    from photonet.tasks import get_task

    check_target(output, overwrite)
    path = find(name)
    card, tensors = read_tensors(path)
    network, module = build(get_task(card.task), card, tensors, path)
    report = export_onnx(network, module, output)
    out.print(f"{output}: inputs {report.inputs}, largest difference {report.difference:.1e}", markup=False)
