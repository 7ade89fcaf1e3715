"""`pipeline.yaml`: strategies as a group, and the simulated venue."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from qts.config.fields import Whole, Words, refuse
from qts.config.models.base import Section


def _word_or_whole(value: object) -> object:
    """Let text that is a number become one; the union then refuses what is neither."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value.strip())
    return value.strip() if isinstance(value, str) else value


Cooldown: TypeAlias = Annotated[
    Annotated[int, Field(ge=0, strict=True)] | Literal["session"], BeforeValidator(_word_or_whole)
]


class ReentryCooldown(Section):
    """Pause after an exit before the track may enter the symbol again: seconds, or for the session."""

    scalp: Cooldown = Field(default=60, description="SCALP: seconds, or `session`.")
    swing: Cooldown = Field(default="session", description="SWING: seconds, or `session`.")
    portfolio: Cooldown = Field(default=0, description="PORTFOLIO: seconds, or `session`.")


class PolicySettings(Section):
    """How large an order of one strategy may be."""

    max_order_qty: Annotated[Whole, Field(ge=1)] = Field(
        description="Most of one purchase, in whole units (shares, coins)."
    )
    stage: Literal["WARN", "REDUCE", "BLOCK"] = Field(
        default="WARN",
        description="What happens to a larger one: WARN = cut to it, REDUCE = cut to reduce_to_qty, BLOCK = refused.",
    )
    reduce_to_qty: Annotated[Whole, Field(ge=0)] = Field(default=0, description="What REDUCE cuts to, in whole units.")

    @model_validator(mode="after")
    def _reduces(self) -> Self:
        if self.reduce_to_qty > self.max_order_qty:
            raise refuse("ordered", order="reduce_to_qty <= max_order_qty")
        return self


class StrategySettings(Section):
    """What holds for every strategy."""

    max_intents_per_cycle: Annotated[Whole, Field(ge=1)] = Field(
        default=20, description="Most wishes that one cycle follows up, exits first."
    )
    reentry_cooldown_s: ReentryCooldown = Field(
        default_factory=ReentryCooldown, description="Pause between an exit and the next entry."
    )
    timeout_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=50,
        description="Time, in milliseconds, after which an answer counts as failed on a live market; recorded and "
        "simulated markets have all the time they need.",
    )
    policies: dict[str, PolicySettings] = Field(
        default_factory=dict, description="How large an order may be, by the id of the strategy."
    )


class SimSession(Section):
    """The simulated KRX session of paper mode."""

    symbols: Words = Field(
        default=(
            "005930",
            "000660",
            "005380",
            "000270",
            "035420",
            "035720",
            "068270",
            "105560",
            "055550",
            "005490",
        ),
        description="Symbols that trade; each needs a `synth` block in reference/instruments.yaml.",
    )
    seed: Annotated[Whole, Field(ge=0, le=2**63 - 1)] = Field(
        default=20_260_102,
        description="Seed of the market: the same seed gives the same session, tick for tick.",
    )
    cash: Annotated[Whole, Field(gt=0)] = Field(default=100_000_000, description="Starting cash in KRW.")


class SimSettings(Section):
    """The simulated venue."""

    latency_out_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=5, description="Milliseconds from the engine to the venue."
    )
    latency_in_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=5, description="Milliseconds from the venue to the engine."
    )
    latency_jitter_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=2, description="Most milliseconds added by chance on each way, evenly spread."
    )
    seed: Annotated[Whole, Field(ge=0, le=2**63 - 1)] = Field(
        default=1, description="Seed of the latency: the same seed gives the same delays."
    )
    session: SimSession = Field(default_factory=SimSession, description="The simulated KRX session.")


class PipelineFile(Section):
    """`pipeline.yaml`."""

    strategy: StrategySettings = Field(default_factory=StrategySettings, description="What holds for strategies.")
    sim: SimSettings = Field(default_factory=SimSettings, description="The simulated venue.")
