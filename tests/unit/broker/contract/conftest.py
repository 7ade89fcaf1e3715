"""Every test of the contract runs on every broker, as it is and with all its decorators."""

import inspect

import pytest

from .benches import SLOW_NS, SimBench, SocketBench

BROKERS = ("sim", "sim-wrapped", "sim-decorated", "socket", "socket-decorated")


def build(name, tmp_path, **config):
    place, _, dress = name.partition("-")
    if place == "sim":
        return SimBench(dress=dress, **config)
    return SocketBench(tmp_path, dress=dress, **config)


@pytest.fixture(params=BROKERS)
def bench(request, tmp_path):
    return build(request.param, tmp_path)


@pytest.fixture(params=("sim", "socket"))
def slow_exchange(request, tmp_path):
    """A broker whose exchange gets what it takes only a while later."""
    return build(request.param, tmp_path, exchange_delay_ns=SLOW_NS)


@pytest.fixture(params=("socket", "socket-decorated"))
def wired(request, tmp_path):
    """A broker behind a socket that can be cut at any byte."""
    return build(request.param, tmp_path)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    here = next(value for name, value in arguments.items() if name in {"bench", "slow_exchange", "wired"})
    here.run(pyfuncitem.obj(**arguments))
    return True
