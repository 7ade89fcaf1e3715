"""Lets the tests of this room share `safety_samples`: test modules are not packages."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from safety_samples import KIM, LEE, START_NS, Clock, Desk, made_desk

from qts.safety import OperatorBook, Role


@pytest.fixture
def clock() -> Clock:
    return Clock(START_NS)


@pytest.fixture(scope="session")
def book_bytes(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("operators") / "operators.json"
    book = OperatorBook(path)
    book.add(KIM.operator_id, Role.OPERATOR, KIM.secret)
    book.add(LEE.operator_id, Role.SAFETY_OFFICER, LEE.secret)
    return path.read_bytes()


@pytest.fixture
def operators(tmp_path, book_bytes) -> OperatorBook:
    path = tmp_path / "operators.json"
    path.write_bytes(book_bytes)
    path.chmod(0o600)
    return OperatorBook(path)


@pytest.fixture
def desk(clock, operators) -> Desk:
    return made_desk(clock, operators)
