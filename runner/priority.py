"""Lets the rest of the machine go first: this process, and every thread and program that it starts from now on.

The only place that knows how each system is asked for that. Nothing here takes a priority back: an ordinary user may
lower it and not raise it again.
"""

import os
import sys
from collections.abc import Iterator

from runner.messages import Message, msg

NICE = 10
"""A tenth of the processor where others want all of it: enough that a backup ends, on a busy machine too."""

# include/uapi/linux/ioprio.h: the class stands above 13 bits of level; 2 is best effort, whose last level is 7.
_CLASS_SHIFT = 13
_BEST_EFFORT = 2
_IDLE = 3
_LAST_LEVEL = 7
_WHO_PROCESS = 1

# `ioprio_set` in the table of system calls; `ioprio_get` is the next one. glibc has no function for either.
_IOPRIO_SET = {
    **dict.fromkeys(("x86_64", "amd64"), 251),
    **dict.fromkeys(("aarch64", "arm64", "riscv64", "loongarch64"), 30),
    **dict.fromkeys(("i386", "i686"), 289),
    **dict.fromkeys(("armv6l", "armv7l"), 314),
    **dict.fromkeys(("ppc64", "ppc64le"), 273),
    "s390x": 282,
}


def lower_priority() -> Iterator[Message]:
    """Lower it, where it is not low already; yields what could not be done. Never raises.

    Linux and other Unix systems: `nice` for the processor; Linux: the last level of best effort for the disk. Windows:
    below normal, and low for the disk.
    """
    for attempt in (_yield_processor, _yield_disk):
        try:
            attempt()
        except (OSError, AttributeError, ValueError) as error:  # ctypes: a function that this system does not have
            yield msg("the priority could not be lowered: {reason}", reason=_reason(error))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


if sys.platform == "win32":
    import ctypes

    _BELOW_NORMAL = 0x4000
    _IO_PRIORITY_CLASS = 33  # ProcessIoPriority; PROCESS_MODE_BACKGROUND_BEGIN would limit the memory as well
    _IO_LOW = 1

    def _yield_processor() -> None:
        """Programs that it starts inherit this class (CreateProcess, `dwCreationFlags`)."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        if not kernel.SetPriorityClass(ctypes.c_void_p(kernel.GetCurrentProcess()), _BELOW_NORMAL):
            raise ctypes.WinError(ctypes.get_last_error())

    def _yield_disk() -> None:
        kernel, system = ctypes.WinDLL("kernel32"), ctypes.WinDLL("ntdll")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        level = ctypes.c_ulong(_IO_LOW)
        status = system.NtSetInformationProcess(
            ctypes.c_void_p(kernel.GetCurrentProcess()), _IO_PRIORITY_CLASS, ctypes.byref(level), ctypes.sizeof(level)
        )
        if status != 0:
            raise OSError(None, f"NtSetInformationProcess: {status & 0xFFFFFFFF:#x}")

else:

    def _yield_processor() -> None:
        if os.getpriority(os.PRIO_PROCESS, 0) < NICE:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)

    def _yield_disk() -> None:
        if sys.platform == "linux":
            _yield_disk_of_linux()

    def _yield_disk_of_linux() -> None:
        import ctypes
        import platform

        call = _IOPRIO_SET.get(platform.machine())
        if call is None:
            raise OSError(None, f"the disk's is not known for {platform.machine()}")
        system = ctypes.CDLL(None, use_errno=True)
        now = system.syscall(call + 1, _WHO_PROCESS, 0)
        if now >> _CLASS_SHIFT == _IDLE:
            return
        if now < 0 or system.syscall(call, _WHO_PROCESS, 0, _BEST_EFFORT << _CLASS_SHIFT | _LAST_LEVEL) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
