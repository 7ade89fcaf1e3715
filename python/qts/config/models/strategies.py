"""`strategies/*.yaml`: one scope each for SCALP, SWING and PORTFOLIO; no scope sees another."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from qts.config.fields import Flag, Whole, split_words
from qts.config.models.base import Section

SessionPhase: TypeAlias = Literal[
    "PREPARE",
    "OPENING_AUCTION",
    "OPEN_GUARD",
    "FULL",
    "CLOSE_GUARD",
    "CLOSING_AUCTION",
    "CLOSE_SET",
    "MONITOR",
]


class SessionScope(Section):
    """When a track may enter."""

    allowed_phases: Annotated[tuple[SessionPhase, ...], BeforeValidator(split_words), Field(min_length=1)] = Field(
        default=("FULL",), description="Session phases in which the track may enter positions."
    )


class ScalpScope(Section):
    """The SCALP scope."""

    flat_at_close: Flag = Field(default=True, description="Close all SCALP positions before the closing auction.")
    max_quote_age_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=300, description="As market.max_quote_age_ms, for SCALP entries."
    )
    session: SessionScope = Field(default_factory=SessionScope, description="When SCALP may enter.")


class SwingScope(Section):
    """The SWING scope."""

    session: SessionScope = Field(default_factory=SessionScope, description="When SWING may enter.")


class PortfolioScope(Section):
    """The PORTFOLIO scope."""

    session: SessionScope = Field(default_factory=SessionScope, description="When PORTFOLIO may enter.")


class ScalpFile(Section):
    """`strategies/scalp.yaml`."""

    scalp: ScalpScope = Field(default_factory=ScalpScope, description="The SCALP scope.")


class SwingFile(Section):
    """`strategies/swing.yaml`."""

    swing: SwingScope = Field(default_factory=SwingScope, description="The SWING scope.")


class PortfolioFile(Section):
    """`strategies/portfolio.yaml`."""

    portfolio: PortfolioScope = Field(default_factory=PortfolioScope, description="The PORTFOLIO scope.")


class Strategies(Section):
    """The three strategy scopes."""

    scalp: ScalpScope = Field(default_factory=ScalpScope, description="The SCALP scope.")
    swing: SwingScope = Field(default_factory=SwingScope, description="The SWING scope.")
    portfolio: PortfolioScope = Field(default_factory=PortfolioScope, description="The PORTFOLIO scope.")
