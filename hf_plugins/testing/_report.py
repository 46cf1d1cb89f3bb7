"""What a run of the contract suite yields, and how one check is run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

C = TypeVar("C")


class Violation(Exception):  # noqa: N818  (a finding about a plugin, not a fault of the caller)
    """A plugin broke its contract; the message says how, in the words of the report."""


@dataclass(frozen=True)
class Check:
    """One promise of the contract. ``detail`` is the promise, or how it was broken."""

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}: {self.detail}"


@dataclass(frozen=True)
class ContractReport:
    """The verdict on one plugin with one set of parameters.

    ``unverified``: what could not be tried here, and why; empty where everything was.
    """

    kind: str
    key: str
    parameters: Mapping[str, Any]
    checks: tuple[Check, ...]
    unverified: str = ""

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def ok(self) -> bool:
        """Whether there were checks and all passed."""
        return bool(self.checks) and not self.failures

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.parameters.items())
        passed = len(self.checks) - len(self.failures)
        verdict = "passed" if self.ok else "FAILED"
        head = f"{self.kind} {self.key}({shown}): {verdict}, {passed} of {len(self.checks)} checks"
        note = [f"  not verified: {self.unverified}"] if self.unverified else []
        return "\n".join([head, *(f"  {check}" for check in self.checks), *note])


def run_checks(case: C, checks: Sequence[Callable[[C], None]]) -> list[Check]:
    """Run functions that return or raise; each is named by its name, its promise is its docstring.

    A plugin that raises where it should not is a failed check, never a crash of the suite.
    """
    done = []
    for check in checks:
        name = check.__name__.strip("_")
        promise = " ".join((check.__doc__ or "").split()).rstrip(".")
        try:
            check(case)
        except Violation as violation:
            done.append(Check(name, False, str(violation)))
        except Exception as error:
            done.append(Check(name, False, raised("the plugin", error)))
        else:
            done.append(Check(name, True, promise))
    return done


def raised(what: str, error: Exception) -> str:
    """The sentence for an exception of a plugin."""
    return f"{what} raised {type(error).__name__}: {error}"
