"""The parts of `tests.execution_world`: a seeded day of orders, faults and market moves in virtual time."""
