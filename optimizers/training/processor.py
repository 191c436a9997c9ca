"""What the machine's processor is called."""

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_name() -> str:
    """Return the processor's name as its maker has it, e.g. "AMD EPYC 7B13"; else its architecture."""
    try:
        name = _named()
    except OSError:  # no such file, program or key
        name = ""
    # Some makers pad theirs.
    return " ".join(name.split()) or platform.processor() or platform.machine()


def _named() -> str:
    if sys.platform == "win32":
        import winreg

        where = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, where) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.partition(":") for line in CPUINFO.read_text("utf-8", "replace").splitlines())
    names = [
        value for key, _, value in lines if key.strip() in ("model name", "Model")
    ]  # "Model": ARM boards
    return names[0] if names else ""
