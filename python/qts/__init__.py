"""qts-engine: an automated trading engine for Korean equities.

    import qts

    result = qts.backtest("ticks.csv.gz", strategy="ema_cross", cash="100000000")
    print(result.summary())

Nothing is loaded before it is asked for, so that `import qts` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qts.engine import Engine
    from qts.engine.backtest import backtest
    from qts.strategy import Intent, Strategy

__all__ = ["Engine", "Intent", "Strategy", "__version__", "backtest"]

_HOMES: Final = {
    "Engine": "qts.engine",
    "Intent": "qts.strategy",
    "Strategy": "qts.strategy",
    "__version__": "qts._core",
    "backtest": "qts.engine",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is that of the name asked for
    """Load a public name from its room."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'qts' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
