"""`python -m lab`: the laboratory's commands, with the product's exit codes."""

from __future__ import annotations

import click

from alerting.cli import main
from lab.bench.command import bench
from lab.chaos.command import chaos


@click.group(name="lab", context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """Measure the product beside its alternatives, and break it to see what holds."""


lab.add_command(bench)
lab.add_command(chaos)

if __name__ == "__main__":
    main(lab)
