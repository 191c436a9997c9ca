"""What a figure was measured on."""

import datetime
import os
import platform
from importlib.metadata import version


def machine(*packages: str) -> dict[str, object]:
    """Return the date, processor, cores, Python and the versions of `packages`."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:  # not Linux
        return []
