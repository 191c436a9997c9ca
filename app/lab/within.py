"""What the lab's page shows of the networks' inside, as a browser gets it: only while it looks there."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from optimizers.training.store import LookRow, PictureRow, Run, Store


@dataclass
class Seen:
    """What of a run's inside this browser has."""

    run: tuple[str, int, int] | None = (
        None  # and its attempt: resumed, it measures some steps anew; and the seed
    )
    inside: tuple[int, int] = (0, 0)  # marks of the store
    looks: tuple[int, int] = (0, 0)
    rows: int = 0  # of all kinds, that were sent

    def news(
        self, store: Store, run: Run | None, view: str, seed: int
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return what is new, as JSON and as arrays; remember that it was sent.

        Looks at the test pictures are those with one of the seeds, by its place.
        """
        own = (run.id, run.attempt, seed) if run else None
        if own != self.run:
            self.run, self.inside, self.looks, self.rows = own, (0, 0), (0, 0), 0
        told: dict[str, Any] = {"before": self.rows, "attempt": run.attempt if run else 0}
        arrays: dict[str, bytes] = {}
        if run is not None and view == "inside":
            inside = store.inside(run.id, self.inside)
            fresh = {"insides": inside.insides, "sharpnesses": inside.sharpnesses}
            arrays = {name: rows.astype("<f4").tobytes() for name, rows in fresh.items()}
            self.inside, self.rows = inside.mark, self.rows + sum(map(len, fresh.values()))
        if run is not None and view == "classes":
            seen = store.looks(run.id, self.looks, seed)
            told["looks"] = [_look(row) for row in seen.looks]
            told["pictures"] = [_picture(row) for row in seen.pictures]
            self.looks, self.rows = seen.mark, self.rows + len(seen.looks) + len(seen.pictures)
        return told, arrays


def _look(row: LookRow) -> dict[str, Any]:
    names = ("racer", "step", "epoch", "confusion", "shape", "largest", "mistakes")
    return {**{name: getattr(row, name) for name in names}, "filters": b64encode(row.filters).decode()}


def _picture(row: PictureRow) -> dict[str, Any]:
    return {"position": row.position, "shape": row.shape, "data": b64encode(row.data).decode()}
