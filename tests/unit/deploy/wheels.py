"""Where the locked packages install from wheels: which tags pip takes on each kind of machine.

Run as a program it writes `wheels.txt` from uv's pylock.toml on standard input: a line for each
package as the lock file names it, and the tags of its wheels (PEP 425) that one of our kinds of
machine takes. So a test sees without a network what can be installed where.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

#: The oldest glibc and macOS that are promised: Debian 10, RHEL 8 and macOS 14.
GLIBC, MACOS = 28, (14, 0)


@dataclass(frozen=True)
class Target:
    """One kind of machine, by the names that markers have for it."""

    python: tuple[int, int]
    system: str
    machine: str

    @property
    def markers(self) -> dict[str, str]:
        version = ".".join(map(str, self.python))
        return {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "sys_platform": self.system,
            "platform_system": {"linux": "Linux", "darwin": "Darwin"}[self.system],
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "os_name": "posix",
        }

    def tags(self) -> Iterator[Tag]:
        if self.system == "darwin":
            platforms = list(mac_platforms(MACOS, self.machine))
        else:
            platforms = [f"manylinux_2_{n}_{self.machine}" for n in range(GLIBC, 4, -1)]
            platforms += [f"manylinux{year}_{self.machine}" for year in (2014, 2010, 1)]
        short = "cp{}{}".format(*self.python)
        yield from cpython_tags(self.python, [short], platforms)
        yield from compatible_tags(self.python, short, platforms)


TARGETS = [
    Target((3, minor), system, machine)
    for minor, (system, machine) in product(
        (11, 12, 13, 14), (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
    )
]


def main() -> None:
    taken = {tag for target in TARGETS for tag in target.tags()}
    for package in tomllib.loads(sys.stdin.read())["packages"]:
        names = (wheel["url"].rpartition("/")[2] for wheel in package.get("wheels", ()))
        tags = {tag for name in names for tag in parse_wheel_filename(name)[3]}
        print(f"{package['name']}=={package['version']}", *sorted(map(str, tags & taken)))


if __name__ == "__main__":
    main()
