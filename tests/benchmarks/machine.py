"""What a figure was measured on."""

import datetime
import os
import platform
from importlib.metadata import version

from optimizers.training.processor import processor_name


def machine(*packages: str) -> dict[str, object]:
    """Return the date, processor, cores, Python and the versions of `packages`."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
