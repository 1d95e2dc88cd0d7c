"""Measured kernels: pictures, folders of them, and MATLAB's files."""

import builtins

import h5py
import numpy as np
import pytest
from PIL import Image

from photonet.errors import InputError, UsageError
from photonet.io import read_kernels

FIRST, SECOND = np.array([[1, 2, 0], [4, 8, 1]]), np.array([[3], [1]])


@pytest.fixture
def mat(tmp_path):
    """A file as MATLAB 7.3 stores a cell array: references to matrices, both with their dimensions turned around."""

    def make(cells, path="kernels.mat", name="kernels"):
        cells = cells if isinstance(cells, np.ndarray) else as_row(cells)
        with h5py.File(tmp_path / path, "w") as file:
            stored = file.create_dataset(name, cells.shape[::-1], h5py.ref_dtype)
            for place in np.ndindex(cells.shape):
                matrix = file.create_dataset("#refs#/" + "_".join(map(str, place)), data=np.asarray(cells[place]).T)
                stored[place[::-1]] = matrix.ref
        return tmp_path / path

    return make


def as_row(matrices):
    """A cell array 1×n."""
    cells = np.empty((1, len(matrices)), object)
    for number, matrix in enumerate(matrices):
        cells[0, number] = matrix
    return cells


def picture(path, pixels):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def assert_kernels(kernels, *expected):
    assert len(kernels) == len(expected)
    for kernel, other in zip(kernels, expected, strict=True):
        assert kernel.dtype == np.float32
        np.testing.assert_allclose(kernel, other / other.sum(), rtol=1e-6)


def test_mat(mat):
    """Rows are rows again, as MATLAB shows them."""
    assert_kernels(read_kernels(mat([FIRST / 5, SECOND])), FIRST, SECOND)


def test_mat_of_any_shape(mat):
    """Of a table of cells, first the first column, as MATLAB counts."""
    cells = np.empty((2, 3), object)
    for index, place in enumerate((row, column) for column in range(3) for row in range(2)):
        cells[place] = np.array([[1.0, index]])
    assert_kernels(read_kernels(mat(cells)), *(np.array([[1.0, index]]) for index in range(6)))
    assert_kernels(read_kernels(mat(cells[:, :1])), np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))


def test_folder(tmp_path):
    """Pictures in the order of their names, of any depth, gray or gray in three channels; other files do not count."""
    color = np.repeat(SECOND[..., None], 3, 2).astype(np.uint8)
    picture(tmp_path / "kernels" / "b.png", color)
    picture(tmp_path / "kernels" / "a.png", FIRST.astype(np.uint16) * 5000)
    picture(tmp_path / "kernels" / "c.PNG", FIRST.astype(np.uint8) * 9)
    (tmp_path / "kernels" / "readme.txt").write_text("measured")
    assert_kernels(read_kernels(tmp_path / "kernels"), FIRST, SECOND, FIRST)


def test_picture(tmp_path):
    assert_kernels(read_kernels(picture(tmp_path / "k.png", FIRST.astype(np.uint8))), FIRST)


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (np.array([[1.0, -0.1]]), "some of it is below 0 or no number"),
        (np.array([[1.0, np.nan]]), "some of it is below 0 or no number"),
        (np.array([[1.0, np.inf]]), "some of it is below 0 or no number"),
        (np.zeros((3, 3)), "all of it is 0"),
        (np.ones((1, 256)), "it has 256×1 pixels, and 255 per side are the most"),
        (np.ones((0, 0)), "it is no matrix"),
        (np.ones(3), "it is no matrix"),
        (np.ones((2, 2, 2)), "it is no matrix"),
    ],
    ids=["negative", "nan", "inf", "black", "large", "empty", "row", "cube"],
)
def test_error_no_kernel(mat, matrix, why):
    path = mat([FIRST, matrix])
    with pytest.raises(InputError, match=f"number 2 is no blur kernel: {why}") as caught:
        read_kernels(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 3), (1, 300)])
def test_error_of_a_folder_names_the_file(tmp_path, shape):
    picture(tmp_path / "a.png", FIRST.astype(np.uint8))
    picture(tmp_path / "b.png", np.full(shape, 0 if shape == (3, 3) else 9, np.uint8))
    with pytest.raises(InputError, match=r"b\.png: is no blur kernel"):
        read_kernels(tmp_path)


def test_error_nothing_there(tmp_path, mat):
    with pytest.raises(InputError, match="holds no kernels"):
        read_kernels(tmp_path)
    with pytest.raises(InputError, match="holds no kernels"):
        read_kernels(mat(np.empty((0, 0), object)))
    for missing in ("none.png", "none.mat"):
        with pytest.raises(InputError, match=missing):
            read_kernels(tmp_path / missing)


@pytest.mark.parametrize("content", [lambda data: data[: len(data) // 2], lambda data: b"MATLAB 5.0 MAT-file" * 9])
def test_error_damaged(mat, content):
    path = mat([FIRST])
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(InputError, match=r"cannot be read.*version 7\.3"):
        read_kernels(path)


def test_error_no_cells(mat, tmp_path):
    """Another variable; a matrix; a structure; a cell that refers to nothing."""
    paths = [mat([FIRST], "name.mat", name="others")]
    for name, fill in {
        "matrix": lambda file: file.create_dataset("kernels", data=FIRST),
        "structure": lambda file: file.create_dataset("kernels/first", data=FIRST),
        "nothing": lambda file: file.create_dataset("kernels", (1, 1), h5py.ref_dtype),
    }.items():
        paths.append(tmp_path / f"{name}.mat")
        with h5py.File(paths[-1], "w") as file:
            fill(file)
    for path in paths:
        with pytest.raises(InputError, match=f"{path.name}: cannot be read"):
            read_kernels(path)


def test_error_without_h5py(mat, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest)

    path = mat([FIRST])
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install h5py"):
        read_kernels(path)
