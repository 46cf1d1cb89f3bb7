"""Which files below a folder a pattern with placeholders stands for.

Names and paths alone: what is in the files is read in :mod:`hf_resources.sources.file_tables`. A
slash in a value is written ``%2F`` in the name of a file.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from hf_plugins.errors import ConfigurationError, DataError, nearest, unknown

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class FilePattern:
    """The files of a source.

    Attributes:
        folder: where they are.
        pattern: path below the folder, with placeholders and the wildcards ``*`` and ``?``.
        placeholders: names that may stand in it in braces.
        suffixes: what may follow it in the name of a file.
    """

    folder: Path
    pattern: str
    placeholders: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)

    def check(self) -> None:
        """Refuse a pattern that leads out of the folder, or has an unknown placeholder.

        Raises:
            ConfigurationError: says what is allowed.
        """
        path = PurePosixPath(self.pattern)
        if path.is_absolute() or ".." in path.parts:
            raise ConfigurationError(
                f"parameter 'pattern' is '{path}'; allowed: a path below the folder, without .."
            )
        for name in _PLACEHOLDER.findall(self.pattern):
            if name not in self.placeholders:
                problem = unknown("placeholder", name, self.placeholders)
                raise ConfigurationError(f"parameter 'pattern': {problem}")

    def filled(self, values: Mapping[str, str], *, escape: bool = False) -> str:
        """The pattern with values in place of placeholders; ``escape`` their wildcards."""
        pattern = self.pattern
        for name, value in values.items():
            quoted = value.replace("/", "%2F")
            pattern = pattern.replace(f"{{{name}}}", glob.escape(quoted) if escape else quoted)
        return pattern

    def paths(self, values: Mapping[str, str]) -> list[Path]:
        """The files for some values, sorted by path; maybe none."""
        filled = self.filled(values, escape=True)
        found = {path for end in self.suffixes for path in self.folder.glob(filled + end)}
        return sorted(path for path in found if path.is_file())

    def check_folder(self, source: str) -> None:
        """Refuse a folder that is not there.

        Raises:
            ConfigurationError: names source and folder.
        """
        if not self.folder.is_dir():
            raise ConfigurationError(
                f"source '{source}': folder is '{self.folder}', which does not exist; name an "
                "existing folder"
            )

    def missing(self, values: Mapping[str, str]) -> DataError:
        """The error of a folder without a file for some values: what it has, and the nearest."""
        filled = self.filled(values)
        names = [
            each.relative_to(self.folder).as_posix()
            for end in self.suffixes
            for each in self.folder.glob(_PLACEHOLDER.sub("*", self.pattern) + end)
            if each.is_file()
        ]
        count = f"{len(names)} file{'s' if len(names) != 1 else ''}"
        return DataError(
            f"{self.folder / filled}: the file does not exist; the folder has {count} named "
            f"{self.pattern}.{nearest(filled, sorted(names))}"
        )
