"""What the measurements ran on, without anything that tells which machine it was: no name, no address, no path."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe_machine(folder: Path) -> dict[str, str]:
    """`folder` is where the data lie: its file system counts."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "file system": _file_system(folder),
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())}, Linux {_kernel()}",
        "Python": platform.python_version(),
    }


def said_by(*command: str) -> str:
    """The first line that a program says, on either output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def version_in(text: str) -> str:
    """The first thing in `text` that looks like a version."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text


def _file_system(folder: Path) -> str:
    listed = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True, check=True)
    return listed.stdout.split()[-1]


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    return found[1].strip() if found else platform.machine()


def _kernel() -> str:
    """Only the numbers: what follows them is the machine's own."""
    return version_in(platform.release())
