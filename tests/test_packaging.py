"""What the app serves and shows is in the wheel, not only in the repository."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_a_page_needs_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for package, patterns in project["tool"]["setuptools"]["package-data"].items():
        packaged = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
        kinds = {".js", ".css", ".svg", ".toml", ".html"}
        needed = {path for path in (ROOT / package).rglob("*") if path.suffix in kinds}
        assert needed
        assert needed == packaged
    # A lesson is a module of its package, found by its name.
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["app*", "lessons*", "optimizers*"]
