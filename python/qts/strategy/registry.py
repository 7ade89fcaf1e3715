"""Strategies by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qts.codes import UsageError, nearest
from qts.strategy.base import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping


class StrategyRegistry:
    """The strategies that a command can name."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Strategy]] = {}

    def register(self, strategy: type[Strategy]) -> None:
        """Add a strategy class under its name.

        Raises:
            UsageError: the name is empty or taken; nothing was added.
        """
        name = strategy.name
        if not name:
            raise UsageError(
                found=f"strategy class {strategy.__qualname__} without a name",
                expected="a class attribute `name`",
                hint="give it a short name, for example name = 'my_strategy'",
            )
        if name in self._classes:
            raise UsageError(
                found=f"a second strategy called {name!r} ({strategy.__qualname__})",
                expected=f"a name that {self._classes[name].__qualname__} does not have",
                hint="rename one of the two",
            )
        self._classes[name] = strategy

    def unregister(self, name: str) -> None:
        """Remove a strategy; unknown names are refused as in `get`."""
        self._classes.pop(self.get(name).name)

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._classes)

    def get(self, ref: str) -> type[Strategy]:
        """Return the class for a registered name or for `module:Class`.

        Raises:
            UsageError: there is no such strategy.
        """
        if ":" in ref:
            return _load(ref)
        if ref not in self._classes:
            near = nearest(ref, self._classes)
            raise UsageError(
                found=f"unknown strategy {ref!r}",
                expected=f"one of {', '.join(self.names())}, or module:Class",
                hint=f"did you mean {near!r}?" if near else "name a class of your own as module:Class",
            )
        return self._classes[ref]

    def create(self, ref: str, params: Mapping[str, Any] | None = None) -> Strategy:
        """Return a new strategy with these parameters; UsageError names what does not fit."""
        return self.get(ref)(**(params or {}))


def _load(ref: str) -> type[Strategy]:
    module_name, _, class_name = ref.partition(":")
    try:
        found = getattr(import_module(module_name), class_name, None)
    except ImportError as error:
        raise UsageError(
            found=f"strategy {ref!r}, whose module cannot be imported ({error})",
            expected="an importable module before the colon",
            hint="check the spelling and that the module's folder is on PYTHONPATH",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UsageError(
            found=f"{class_name!r} in {module_name!r} is {'missing' if found is None else 'not a strategy'}",
            expected="a subclass of qts.strategy.Strategy after the colon",
            hint="check the class name",
        )
    return found


def default_registry() -> StrategyRegistry:
    """Return a registry that holds the examples."""
    from qts.strategy.examples import EXAMPLES

    registry = StrategyRegistry()
    for strategy in EXAMPLES:
        registry.register(strategy)
    return registry
