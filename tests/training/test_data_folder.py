"""folder:DIR: one's own pictures, whatever they are, and what is said of a folder that won't do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optimizers.training import TrainConfig, data, train
from optimizers.training.data import DataError, available, entry, load, offered

COLOURS = {"blue": (20, 40, 200), "red": (210, 30, 20)}


def picture(
    path: Path, colour: tuple[int, ...] = (10, 20, 30), size: tuple[int, int] = (40, 30), mode: str = "RGB"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures of each of two colours, each a little different."""
    for name, colour in COLOURS.items():
        for k in range(10):
            picture(tmp_path / "mine" / name / f"{k}.png", tuple(min(255, c + k) for c in colour))
    return tmp_path / "mine"


def test_a_fifth_is_kept_for_testing_always_the_same(folder: Path) -> None:
    found = load(f"folder:{folder}")
    assert found.classes == ("blue", "red")
    assert found.train_images.shape == (16, 3, 32, 32)
    assert found.test_images.shape == (4, 3, 32, 32)
    assert np.bincount(found.train_labels).tolist() == [8, 8]
    assert np.bincount(found.test_labels).tolist() == [2, 2]
    assert found.note == "mine, pictures of one's own: 16 to train on and 4 to test, 32 × 32"
    means = found.train_images.mean((2, 3))
    assert np.array_equal(means[:, 0] > means[:, 2], found.train_labels == 1)  # the red ones
    assert not {i.tobytes() for i in found.train_images} & {i.tobytes() for i in found.test_images}
    picture(folder / "red" / "10.png", (1, 2, 3))  # another listing is read anew
    assert len(load(f"folder:{folder}").train_labels) + len(load(f"folder:{folder}").test_labels) == 21


def test_train_and_test_are_taken_as_they_are(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "train")
    (tmp_path / "both").mkdir()
    (tmp_path / "train").rename(tmp_path / "both" / "train")
    with pytest.raises(DataError, match="has a folder train but no test"):
        load(f"folder:{tmp_path / 'both'}")
    for name in COLOURS:
        picture(tmp_path / "both" / "test" / name / "deep" / "x.JPG")
    found = load(f"folder:{tmp_path / 'both'}")
    assert (len(found.train_labels), found.test_labels.tolist()) == (20, [0, 1])
    (tmp_path / "both" / "test" / "green").mkdir()
    with pytest.raises(DataError, match="has other classes in test than in train"):
        load(f"folder:{tmp_path / 'both'}")


def test_every_sort_of_picture_becomes_a_square(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "wide.jpg", size=(300, 100))
        picture(tmp_path / name / "small.png", size=(5, 3))
        picture(tmp_path / name / "palette.gif", mode="P")
        picture(tmp_path / name / "grey.bmp", mode="L")
        picture(tmp_path / name / "cmyk.jpg", mode="CMYK")
        clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
        clear.save(tmp_path / name / "clear.png")
        turned = Image.new("RGB", (64, 32), "black")
        turned.paste("white", (0, 0, 32, 32))
        exif = turned.getexif()
        exif[0x0112] = 6  # to be turned by a right angle
        turned.save(tmp_path / name / "turned.png", exif=exif)
    found = load(f"folder:{tmp_path}")
    images = np.concatenate([found.train_images, found.test_images])
    assert images.shape == (14, 3, 32, 32)
    assert "could not" not in found.note
    assert sum((image == 255).all() for image in images) == 2  # the transparent ones, on white
    halves = [
        image for image in images if image.min() == 0 and image.max() == 255 and not (image == 255).all()
    ]
    assert len(halves) == 2
    assert all(image[:, :16].min() == 255 and image[:, 16:].max() == 0 for image in halves)  # upright


def test_unreadable_files_are_counted_and_said(folder: Path) -> None:
    whole = (folder / "red" / "0.png").read_bytes()
    (folder / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "red" / "text.jpg").write_text("no picture")
    (folder / "blue" / "empty.webp").write_bytes(b"")
    (folder / "blue" / "link.png").symlink_to(folder / "nowhere.png")
    (folder / "blue" / "notes.txt").write_text("passed over")
    (folder / "blue" / ".hidden.png").write_text("passed over")
    bomb = Image.new("1", (20_000, 10_000))
    bomb.save(folder / "blue" / "bomb.png")
    found = load(f"folder:{folder}")
    assert len(found.train_labels) + len(found.test_labels) == 20
    assert found.note.endswith("; 5 files could not be read and are left out")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ((), "there is no folder"),
        (("x.png",), "has no folders of pictures: it takes one for each class, at least two"),
        (("a/x.png", "a/y.png"), "has 1 folder of pictures"),
        (("a/x.png", "a/y.png", "b/z.txt"), "has no picture to train on of b that can be read"),
        (("a/x.png", "a/y.png", "b/z.png"), "has no picture to test of b that can be read"),
    ],
)
def test_a_folder_that_will_not_do_gets_one_sentence(
    tmp_path: Path, make: tuple[str, ...], said: str
) -> None:
    for name in make:
        picture(tmp_path / "x" / name) if name.endswith("png") else (
            (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        )
    with pytest.raises(DataError) as problem:
        load(f"folder:{tmp_path / 'x'}")
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_too_many_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizers.training.data_folder.MOST_PICTURES", 19)
    picture(folder / "red" / "more.png")
    with pytest.raises(DataError, match="has 21 pictures: at most 19 fit into memory"):
        load(f"folder:{folder}")


def test_folders_in_home_have_a_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    assert offered() == list(data.DATASETS)
    (tmp_path / "pictures").mkdir()
    folder.rename(tmp_path / "pictures" / "mine")
    (tmp_path / "pictures" / ".cache").mkdir()
    assert offered()[-1] == "folder:mine"
    assert available("folder:mine")
    assert entry("folder:mine").title == "mine"
    assert not available("folder:mine/../mine")  # a path is looked for from where one is
    assert load("folder:mine").classes == ("blue", "red")
    result = train(
        TrainConfig(("adam",), data="folder:mine", model="image_mlp", epochs=20, batch_size=8, device="cpu")
    )
    assert result.racers[0].test_accuracy == 1
    assert result.data_note.startswith("mine, pictures of one's own")
