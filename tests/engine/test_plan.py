"""Which files become which."""

from pathlib import Path

import pytest

from photonet.engine.plan import find_inputs, plan
from photonet.engine.task import one_by_one, together
from photonet.errors import InputError, UsageError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Make empty files in a fresh folder, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return make


def outputs(names, output, **options):
    """Input → output, as text."""
    jobs = plan(names, output, "denoise", one_by_one, **options)
    return {str(job.inputs[0]): str(job.output) for job in jobs}


def test_file_to_file(files):
    files("a.jpg")
    assert outputs(["a.jpg"], "b.png") == {"a.jpg": "b.png"}
    assert outputs(["a.jpg"], "sub/b.tif") == {"a.jpg": "sub/b.tif"}


def test_into_a_folder(files):
    files("a.jpg", "there/x")
    for folder in ("out/", "out", "there"):
        assert outputs(["a.jpg"], folder) == {"a.jpg": f"{folder.rstrip('/')}/a.jpg"}


def test_folder_with_and_without_its_folders(files):
    files("in/a.jpg", "in/sub/b.PNG", "in/sub/deep/c.tif", "in/notes.txt", "in/.hidden.jpg")
    assert outputs(["in"], "out/") == {"in/a.jpg": "out/a.jpg"}
    assert outputs(["in"], "out/", recursive=True) == {
        "in/a.jpg": "out/a.jpg",
        "in/sub/b.PNG": "out/sub/b.PNG",
        "in/sub/deep/c.tif": "out/sub/deep/c.tif",
    }


def test_same_name_in_two_folders(files):
    files("in/a.jpg", "in/sub/a.jpg")
    planned = outputs(["in"], "out/", recursive=True)
    assert planned == {"in/a.jpg": "out/a.jpg", "in/sub/a.jpg": "out/sub/a.jpg"}


@pytest.mark.parametrize(
    ("name", "output"),
    [("a.nef", "a.tif"), ("a.HEIC", "a.jpg"), ("a.webp", "a.webp"), ("a.JPG", "a.JPG"), ("a", "a.png")],
)
def test_format_is_kept_where_it_can_be_written(name, output, files):
    files(name)
    assert outputs([name], "out/") == {name: f"out/{output}"}


def test_format_is_changed(files):
    files("a.jpg", "b.tif")
    assert outputs(["a.jpg", "b.tif"], "out/", format="png") == {"a.jpg": "out/a.png", "b.tif": "out/b.png"}
    with pytest.raises(UsageError, match="this file format is unknown"):
        outputs(["a.jpg"], "out/", format="psd")


def test_template(files):
    files("in/a.b.jpg")
    assert outputs(["in/a.b.jpg"], "{dir}/{stem}_{task}{ext}") == {"in/a.b.jpg": "in/a.b_denoise.jpg"}
    assert outputs(["in/a.b.jpg"], "x/{stem}{ext}", format="tiff") == {"in/a.b.jpg": "x/a.b.tif"}


@pytest.mark.parametrize(
    "template", ["{name}.jpg", "{}.jpg", "{stem", "{stem}/{0}", "{stem:>9999999}.jpg", "{stem!r}.jpg"]
)
def test_error_template(template, files):
    files("a.jpg")
    with pytest.raises(UsageError, match=r"use \{dir\} \{stem\} \{task\} \{ext\}"):
        outputs(["a.jpg"], template)


def test_two_endings_of_one_name(files):
    files("a.jpg", "a.png", "b.png")
    expected = {"a.jpg": "out/a_jpg.png", "a.png": "out/a_png.png", "b.png": "out/b.png"}
    assert outputs(["a.jpg", "a.png", "b.png"], "out/", format="png") == expected
    assert outputs(["a.jpg", "a.png"], "out/") == {"a.jpg": "out/a.jpg", "a.png": "out/a.png"}


def test_names_that_differ_in_case_only(files):
    """They are one file on some machines."""
    files("a.jpg", "A.png")
    planned = outputs(["a.jpg", "A.png"], "out/", format="png")
    assert planned == {"a.jpg": "out/a_jpg.png", "A.png": "out/A_png.png"}


@pytest.mark.parametrize(
    ("names", "output", "format", "planned"),
    [
        (["a.jpg", "b.jpg"], "x{ext}", None, ["x.jpg", "x_2.jpg"]),
        (["a.jpg", "a.png", "a_jpg.png"], "out/", "png", ["out/a_jpg.png", "out/a_png.png", "out/a_jpg_2.png"]),
        (["one/a.jpg", "two/a.jpg", "a_2.jpg"], "out/", None, ["out/a.jpg", "out/a_3.jpg", "out/a_2.jpg"]),
        (["in/IMG.png", "in/img.png"], "out/", None, ["out/IMG.png", "out/img_2.png"]),
    ],
)
def test_clashes_are_numbered(names, output, format, planned, files):
    files(*names)
    assert list(outputs(names, output, format=format).values()) == planned


def test_folder_and_its_folder(files, tmp_path):
    files("in/a.jpg", "in/sub/b.jpg")
    planned = outputs(["in", "in/sub", f"{tmp_path}/in/sub/b.jpg"], "out/", recursive=True)
    assert planned == {"in/a.jpg": "out/a.jpg", "in/sub/b.jpg": "out/sub/b.jpg"}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{dir}/{stem}_{task}{ext}", ["in/a_denoise_jpg.png", "in/a_denoise_png.png", "in/sub/b_denoise.png"]),
        ("{dir}/clean/{stem}{ext}", ["in/clean/a_jpg.png", "in/clean/a_png.png", "in/sub/clean/b.png"]),
    ],
)
def test_results_of_the_same_template_are_no_inputs(template, made, files):
    files("in/a.jpg", "in/a.png", "in/sub/b.tif")
    first = outputs(["in"], template, format="png", recursive=True)
    assert sorted(first.values()) == made
    for name in made:
        files(name)
        Path(name).write_bytes(b"...urn:photonet:1#...")
    assert outputs(["in"], template, format="png", recursive=True) == first


def test_error_an_original_where_a_result_goes(files):
    """Only what says itself that it is a result may be left out, and replaced."""
    files("in/a.jpg", "in/a_denoise.jpg")
    with pytest.raises(UsageError, match="would replace an input"):
        outputs(["in"], "{dir}/{stem}_{task}{ext}")


@pytest.mark.parametrize("template", ["{dir}", "{dir}/", "."])
def test_error_a_template_without_a_name(template, files):
    files("in/a.jpg", "a.jpg")
    if "{" in template:
        with pytest.raises(UsageError, match="names the folder"):
            outputs(["a.jpg"], template)
    else:
        with pytest.raises(UsageError, match="would replace an input"):
            outputs(["a.jpg"], template)


def test_error_originals_are_no_results(files):
    files("in/a.jpg", "in/a_denoise.jpg", "in/b.jpg", "in/b.png")
    with pytest.raises(UsageError, match="would replace an input"):  # named, not found in a folder
        outputs(["in/a.jpg", "in/a_denoise.jpg"], "{dir}/{stem}_{task}{ext}")
    assert outputs(["in/b.jpg", "in/b.png"], "{dir}/{stem}{ext}", format="png") == {
        "in/b.jpg": "in/b_jpg.png",
        "in/b.png": "in/b_png.png",
    }


@pytest.mark.parametrize(
    ("names", "output"),
    [(["a.jpg"], "a.jpg"), (["a.jpg", "b.jpg"], "{dir}/{stem}{ext}"), (["a.jpg"], "."), (["."], ".")],
)
def test_error_output_is_an_input(names, output, files):
    files("a.jpg", "b.jpg")
    with pytest.raises(UsageError, match="the output would replace an input"):
        outputs(names, output)


def test_error_output_is_another_input_by_a_link(files):
    files("a.jpg", "in/x")
    Path("out").symlink_to(".")
    with pytest.raises(UsageError, match="the output would replace an input"):
        outputs(["a.jpg"], "out/")


@pytest.mark.parametrize("names", [["a.jpg", "b.jpg"], ["."]])
def test_error_several_into_one_file(names, files):
    files("a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=r"several pictures cannot go into the file x.png"):
        outputs(names, "x.png")


def test_error_format_of_the_output(files):
    files("a.jpg")
    with pytest.raises(UsageError, match=r"'\.gif' is not a format that can be written"):
        outputs(["a.jpg"], "b.gif")


def test_error_name_and_format_disagree(files):
    files("a.jpg")
    with pytest.raises(UsageError, match="would not be what its name says"):
        outputs(["a.jpg"], "b.jpg", format="png")
    assert outputs(["a.jpg"], "b.tiff", format="tiff") == {"a.jpg": "b.tiff"}


NAMES = [f"{number:03d}.jpg" for number in range(60)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_are_a_partition(count, files):
    files(*(f"in/{name}" for name in NAMES))
    parts = [set(outputs(["in"], "out/", shard=f"{number}/{count}")) for number in range(1, count + 1)]
    assert sum(map(len, parts)) == len(NAMES)
    assert set.union(*parts) == {f"in/{name}" for name in NAMES}
    assert all(len(part) > len(NAMES) / count / 3 for part in parts)


def test_shards_do_not_depend_on_where_files_lie(files):
    files(*(f"in/{name}" for name in NAMES), *(f"elsewhere/{name}" for name in NAMES))
    here, there = (outputs([folder], "out/", shard="2/3").values() for folder in ("in", "elsewhere"))
    assert list(here) == list(there)


def test_shards_of_pictures_with_one_name(files):
    files(*(f"in/{number}/a.jpg" for number in range(40)))
    counts = [len(outputs(["in"], "out/", shard=f"{number}/2", recursive=True)) for number in (1, 2)]
    assert sum(counts) == 40
    assert min(counts) > 8


def test_shards_name_their_outputs_as_one_machine_would(files):
    """Otherwise a.jpg on one machine and a.png on another would both become a.png in a folder that they share."""
    files(*(f"in/{number}.{ending}" for number in range(10) for ending in ("jpg", "png")))
    whole = outputs(["in"], "out/", format="png")
    parts = [outputs(["in"], "out/", format="png", shard=f"{number}/4") for number in range(1, 5)]
    assert {key: value for part in parts for key, value in part.items()} == whole
    assert len(set(whole.values())) == 20


def test_error_several_into_one_file_on_every_shard(files):
    files("a.jpg", "b.jpg", "c.jpg")
    for number in range(1, 9):
        with pytest.raises(UsageError, match="several pictures"):
            outputs(["a.jpg", "b.jpg", "c.jpg"], "x.png", shard=f"{number}/8")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_error_shard(shard, files):
    files("a.jpg")
    with pytest.raises(UsageError, match="is not a part like 2/8"):
        outputs(["a.jpg"], "out/", shard=shard)


def test_glob(files, tmp_path):
    files("b1.jpg", "b2.jpg", "c.jpg", "sub/b3.jpg", "b-folder/x.jpg")
    assert list(outputs(["b*.jpg"], "out/")) == ["b1.jpg", "b2.jpg"]
    assert list(outputs(["b[2-9].jpg"], "out/")) == ["b2.jpg"]
    assert list(outputs(["**/b?.jpg"], "out/")) == ["b1.jpg", "b2.jpg", "sub/b3.jpg"]
    assert list(outputs([f"{tmp_path}/c*"], "out/")) == [f"{tmp_path}/c.jpg"]


def test_glob_characters_in_a_name(files):
    files("holiday [1].jpg")
    assert outputs(["holiday [1].jpg"], "out/") == {"holiday [1].jpg": "out/holiday [1].jpg"}


def test_named_twice(files):
    files("a.jpg", "b.jpg")
    assert list(outputs(["a.jpg", "*.jpg", "b.jpg"], "out/")) == ["a.jpg", "b.jpg"]


def test_dangling_links_are_jobs(files):
    """They fail on their own when they are read, and are named then; a picture that is left out silently is not."""
    files("in/a.jpg")
    Path("in/b.jpg").symlink_to("nowhere.jpg")
    for names in (["in"], ["in/a.jpg", "in/b.jpg"], ["in/*.jpg"]):
        assert list(outputs(names, "out/")) == ["in/a.jpg", "in/b.jpg"]


def test_results_of_an_earlier_run_are_no_inputs(files):
    files("in/a.jpg", "in/out/a.jpg", "in/out/sub/b.jpg", "in/outer/c.jpg")
    planned = outputs(["in"], "in/out", recursive=True)
    assert planned == {"in/a.jpg": "in/out/a.jpg", "in/outer/c.jpg": "in/out/outer/c.jpg"}


def test_error_missing(files):
    files("in/notes.txt", "in/sub/a.jpg", "empty/x")
    assert [one.path for one in find_inputs(["b.jpg"], False)] == [Path("b.jpg")]  # it fails alone, when it is read
    with pytest.raises(UsageError, match="no name"):
        outputs(["in/sub"], "")
    with pytest.raises(InputError, match=r"\*.jpg: nothing matches"):
        find_inputs(["*.jpg"], False)
    with pytest.raises(InputError, match="nothing matches"):
        find_inputs(["i*"], False)  # only a folder
    with pytest.raises(InputError, match=r"in: no pictures in this folder. --recursive looks"):
        find_inputs(["in"], False)
    with pytest.raises(InputError, match="no pictures in this folder") as caught:
        find_inputs(["empty"], True)
    assert caught.value.fix == ""


def test_group(files):
    """A task that merges: one result, named after the first picture."""
    files("a.jpg", "b.jpg")
    (job,) = plan(["a.jpg", "b.jpg"], "out.png", "merge", lambda paths: [tuple(paths)])
    assert job.inputs == (Path("a.jpg"), Path("b.jpg"))
    assert job.output == Path("out.png")
    with pytest.raises(UsageError, match="would replace an input"):
        plan(["a.jpg", "b.jpg"], "b.jpg", "merge", lambda paths: [tuple(paths)])


def merged(names, output, **options):
    """Inputs → output of jobs that take all files of a folder, as text."""
    return {tuple(map(str, job.inputs)): str(job.output) for job in plan(names, output, "burst", together, **options)}


def test_named_files_belong_together(files):
    files("a/1.jpg", "b/2.jpg")
    assert merged(["b/2.jpg", "a/1.jpg"], "out.jpg") == {("b/2.jpg", "a/1.jpg"): "out.jpg"}
    assert merged(["b/2.jpg", "a/1.jpg"], "out/") == {("b/2.jpg", "a/1.jpg"): "out/2.jpg"}


def test_each_folder_belongs_together(files):
    files("in/a/1.jpg", "in/a/2.jpg", "in/deep/b/1.jpg", "in/deep/b/2.jpg", "x.jpg", "y.jpg")
    a, b = ("in/a/1.jpg", "in/a/2.jpg"), ("in/deep/b/1.jpg", "in/deep/b/2.jpg")
    assert merged(["in"], "out/", recursive=True) == {a: "out/a.jpg", b: "out/deep/b.jpg"}
    assert merged(["in/a"], "night.jpg") == {a: "night.jpg"}
    assert merged(["x.jpg", "in/a", "y.jpg"], "out/") == {("x.jpg", "y.jpg"): "out/x.jpg", a: "out/a.jpg"}
    assert merged(["in/a"], "{dir}-{stem}-{task}{ext}") == {a: "in/a-a-burst.jpg"}


def test_a_merged_result_is_no_input(files):
    files("in/1.jpg", "in/2.jpg", "in/out.jpg")
    with pytest.raises(UsageError, match="input"):
        merged(["in"], "in/out.jpg")
