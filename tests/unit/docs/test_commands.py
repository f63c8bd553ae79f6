"""What the documentation tells people to type is there: commands, their options, settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from doc_pages import ROOT, every_page, text_of

from alerting.cli import cli
from alerting.settings import SECRET_FILES, Settings

#: In code alone: elsewhere `alerting` is a word.
_BLOCKS = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:^|[\s/(])alerting ([a-z][a-z-]*(?: [^\n#|;)&]*)?)")

#: Settings that are no field of `Settings`, and what stands for several.
_OTHER_SETTINGS = {"ALERTING_TOKEN", "ALERTING_CORPUS"}


def code_of(page: Path) -> Iterator[str]:
    text = text_of(page)
    for block in _BLOCKS.findall(text):
        yield from block.splitlines()
    yield from _INLINE.findall(_BLOCKS.sub("", text))


def commands(page: Path) -> Iterator[list[str]]:
    """The words behind `alerting` of every command that a page shows."""
    for code in code_of(page):
        for found in _COMMAND.finditer(code):
            try:
                yield shlex.split(found[1])
            except ValueError:
                yield found[1].split()


def wrong_in(words: list[str]) -> str:
    """What of a command is not there; "" where all of it is."""
    here: click.Command = cli
    rest = list(words)
    with click.Context(cli) as context:
        while isinstance(here, click.Group) and rest and re.fullmatch(r"[a-z-]+", rest[0]):
            name = rest.pop(0)
            found = here.get_command(context, name)
            if found is None:
                return f"no command {name!r}"
            here = found
        options = {o for p in here.get_params(context) for o in (*p.opts, *p.secondary_opts)}
    for word in rest:
        option = re.match(r"--[a-z][a-z-]*", word)
        if option and option[0] not in options | {"--version"}:
            return f"no option {option[0]}"
    return ""


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", every_page(), ids=page_name)
def test_commands_and_options_exist(page: Path) -> None:
    wrong = [(" ".join(words), why) for words in commands(page) if (why := wrong_in(words))]
    assert wrong == []


@pytest.mark.parametrize("page", every_page(), ids=page_name)
def test_settings_exist(page: Path) -> None:
    known = set(Settings().to_environment()) | _OTHER_SETTINGS
    known |= {f"{name}_FILE" for name in SECRET_FILES}
    gone = set(re.findall(r"`(\w+)` is gone", text_of(page)))
    names = set(re.findall(r"\bALERTING_[A-Z0-9_]*[A-Z0-9]\b(?!_?[…*])", text_of(page)))
    assert names - known - gone == set()
