//! Why a message may not leave.

use crate::event::EndReason;

/// The gate that said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The class of action does not fit the side: purchases increase, sales reduce.
    ActionInvalid,
    /// The safety word does not permit the class of action.
    SafetyBlocked,
    /// Entries of the instrument are refused.
    SymbolFrozen,
    /// Entries of the pool are refused.
    PoolBlocked,
    /// The quantity is no positive multiple of the lot, or an amendment leaves nothing to fill.
    QtyInvalid,
    /// The price is not on the ladder.
    OffTick,
    /// Not that much cash is free.
    InsufficientCash,
    /// More than is held and not being sold already.
    InsufficientPosition,
    /// An order that looks the same has no answer yet: a list of the broker could not tell the two apart.
    EqualInDoubt,
    /// Somebody else holds the exit of the position.
    ExitTaken,
    /// The lease has been released or taken away.
    LeaseLost,
    /// Nothing of the position is left to sell.
    NothingToSell,
    /// The limit is above the price that the hold was placed at.
    HoldPrice,
    /// More than the hold has left.
    HoldQty,
    /// There is no such hold, or it is for something else.
    HoldGone,
    /// The broker takes no more messages just now.
    RateLimit,
    /// The order cannot take this now: it has ended, or has not left.
    NotWorking,
    /// The broker has not given the order a number yet.
    NoNumber,
    /// An amendment of the order has no answer yet.
    AmendInFlight,
    /// The permit has been used or given back.
    PermitUsed,
    /// The permit is too old.
    PermitExpired,
}

impl Refusal {
    /// Name in exceptions and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActionInvalid => "ACTION_INVALID",
            Self::SafetyBlocked => "SAFETY_BLOCKED",
            Self::SymbolFrozen => "SYMBOL_FROZEN",
            Self::PoolBlocked => "POOL_BLOCKED",
            Self::QtyInvalid => "QTY_INVALID",
            Self::OffTick => "OFF_TICK",
            Self::InsufficientCash => "INSUFFICIENT_CASH",
            Self::InsufficientPosition => "INSUFFICIENT_POSITION",
            Self::EqualInDoubt => "EQUAL_IN_DOUBT",
            Self::ExitTaken => "EXIT_TAKEN",
            Self::LeaseLost => "LEASE_LOST",
            Self::NothingToSell => "NOTHING_TO_SELL",
            Self::HoldPrice => "HOLD_PRICE",
            Self::HoldQty => "HOLD_QTY",
            Self::HoldGone => "HOLD_GONE",
            Self::RateLimit => "RATE_LIMIT",
            Self::NotWorking => "NOT_WORKING",
            Self::NoNumber => "NO_NUMBER",
            Self::AmendInFlight => "AMEND_IN_FLIGHT",
            Self::PermitUsed => "USED",
            Self::PermitExpired => "EXPIRED",
        }
    }

    /// The same as the end of an order that a gate refused.
    pub const fn end_reason(self) -> EndReason {
        match self {
            Self::SafetyBlocked | Self::ActionInvalid => EndReason::SafetyBlocked,
            Self::SymbolFrozen => EndReason::SymbolFrozen,
            Self::PoolBlocked => EndReason::PoolBlocked,
            Self::QtyInvalid => EndReason::QtyInvalid,
            Self::OffTick => EndReason::OffTick,
            Self::InsufficientCash | Self::HoldPrice | Self::HoldQty | Self::HoldGone => {
                EndReason::InsufficientCash
            }
            Self::InsufficientPosition | Self::NothingToSell => EndReason::InsufficientPosition,
            Self::ExitTaken | Self::LeaseLost => EndReason::ExitTaken,
            Self::RateLimit => EndReason::RateLimit,
            Self::EqualInDoubt
            | Self::NotWorking
            | Self::NoNumber
            | Self::AmendInFlight
            | Self::PermitUsed
            | Self::PermitExpired => EndReason::UnknownOrder,
        }
    }
}

/// A refusal, and when asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The gate.
    pub reason: Refusal,
    /// Earliest time at which the same wish may pass, UTC nanoseconds; 0 = waiting does not help.
    pub retry_at_ns: i64,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self { reason, retry_at_ns: 0 }
    }
}
