"""Lets two files share what they hold, where the file system can do that, so that a copy costs next to nothing."""

import errno
import sys

_FICLONE = 0x40049409
"""linux/fs.h, _IOW(0x94, 9, int); where a processor's numbers are others, the file system knows of no such request."""

_NOT_HERE = (
    *(errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV),
    *(errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR),
)


class Sharing:
    """Knows after the first refusal that it need not be tried again."""

    def __init__(self) -> None:
        self.is_refused = sys.platform != "linux"

    def share(self, source: int, target: int) -> bool:
        """Give the empty file `target` the content of `source`, both open. False, with nothing done, where that cannot
        be (ioctl_ficlone(2): Btrfs, XFS and some others, within one file system). Raises OSError, for a full disk.

        The content is that of one instant; either may change afterwards without the other.
        """
        if self.is_refused or sys.platform != "linux":
            return False
        import fcntl

        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self.is_refused = True
            return False
        return True
