"""Find words that this project does not use: `make check` runs it over the checkout.

The words, what to say instead and where each rule holds are data, in words.toml.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

_LIST = Path(__file__).with_suffix(".toml")
#: Examples of wrong use, and the list itself.
_SKIPPED = (
    "tests/helpers/words.*",
    "tests/integration/test_words.py",
    "CHANGELOG.md",
    "alerting/store/migrations/*",
)
#: Characters of a test's name.
_LONGEST_TEST = 72


@dataclass(frozen=True, slots=True)
class Rule:
    """Words not to use in prose.

    Attributes:
        paths: Globs of the files where the rule holds.
        allow: Texts that may contain them all the same.
    """

    pattern: re.Pattern[str]
    say: str
    paths: tuple[str, ...]
    allow: tuple[str, ...] = ()


def load() -> tuple[list[Rule], frozenset[str]]:
    """The prose rules and the identifiers of words.toml."""
    found = tomllib.loads(_LIST.read_text())
    rules = [
        Rule(
            re.compile(rf"\b(?:{'|'.join(map(re.escape, one['words']))})\b", re.IGNORECASE),
            one["say"],
            tuple(one["paths"]),
            tuple(one.get("allow", ())),
        )
        for one in found.get("prose", ())
    ]
    return rules, frozenset(found["identifiers"])


def findings(
    path: str, text: str, rules: list[Rule], identifiers: frozenset[str]
) -> Iterator[tuple[int, str, str]]:
    """Each unwanted word of a file: its line, the word and what to say instead."""
    here = [r for r in rules if any(fnmatch(path, glob) for glob in r.paths)]
    for line, kind, part in _parts(path, text):
        if kind == tokenize.NAME:
            if part in identifiers:
                yield line, part, "this name was replaced"
            elif part.startswith("test_") and len(part) > _LONGEST_TEST:
                yield line, part, f"name unit and case in at most {_LONGEST_TEST} characters"
            continue
        for rule in here:
            prose = part
            for allowed in rule.allow:
                prose = prose.replace(allowed, "")
            for found in rule.pattern.finditer(prose):
                yield line + prose.count("\n", 0, found.start()), found[0], rule.say


def _parts(path: str, text: str) -> Iterator[tuple[int, int, str]]:
    """Prose and names of a file, with the line each begins on."""
    if path.endswith(".md"):
        # Code in a text is not prose; the lines are kept.
        text = re.sub(r"```.*?```|`[^`\n]+`", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
        yield 1, tokenize.COMMENT, text
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, tokenize.NAME):
            yield token.start[0], token.type, token.string


def main() -> int:
    """Print every finding; returns 1 when there is one."""
    rules, identifiers = load()
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    count = 0
    for name in listed.stdout.splitlines():
        path = Path(name)
        skipped = any(fnmatch(name, glob) for glob in _SKIPPED)
        if path.suffix not in (".py", ".md") or skipped or not path.is_file():
            continue
        for line, word, say in findings(name, path.read_text(), rules, identifiers):
            print(f"{name}:{line}: {word!r}: {say}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
