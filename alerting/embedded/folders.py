"""Folders and sockets that nobody but this account may use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from alerting.errors import Unavailable

#: What the files of an engine, and of everything that `alerting up` runs, are made with.
UMASK = 0o077

#: A unix socket's whole path must fit here (sockaddr_un).
_SOCKET_PATH_MAX = 107


def private(folder: Path) -> Path:
    """The folder, made where it is missing, and closed to everybody else.

    So are the folders above it that have to be made; those that are there stay as they are.
    """
    for above in reversed(folder.parents):
        if not above.exists():
            above.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    return folder


def opener(path: str, flags: int) -> int:
    """For `open`: a file it makes is for this account alone."""
    return os.open(path, flags, 0o666 & ~UMASK)


def for_socket(engine: Path, name: str, longest_file: str) -> Path:
    """The folder `name` inside an engine's own, or a short one when a socket's path would not fit.

    Args:
        longest_file: What the engine puts into it.

    Raises:
        Unavailable: When the short one belongs to somebody else.
    """
    found = engine.resolve() / name
    if len(os.fsencode(found / longest_file)) > _SOCKET_PATH_MAX:
        short = hashlib.sha256(os.fsencode(found)).hexdigest()[:12]
        found = Path(tempfile.gettempdir()) / f"alerting-{os.geteuid()}-{short}"
    found.mkdir(mode=0o700, exist_ok=True)
    owner = engine.stat()
    if found.is_symlink() or found.stat().st_uid not in {os.geteuid(), owner.st_uid}:
        raise Unavailable(f"{found} belongs to somebody else.", remedy="Remove it.")
    if os.geteuid() == 0:
        shutil.chown(found, owner.st_uid, owner.st_gid)
    return found
