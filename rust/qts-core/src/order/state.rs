//! The order state machine of spec 02 §7.5.

use super::OrderError;

/// Where an order stands. Terminal states are never left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderState {
    /// Built, not yet through the gate.
    Created,
    /// Through the gate, not yet on the way.
    Validated,
    /// On the way to the venue, no answer yet.
    Submitted,
    /// Acknowledged by the venue, nothing filled.
    Accepted,
    /// Partly filled.
    Partial,
    /// A cancel is on the way.
    CancelPending,
    /// No answer in time: the venue may or may not hold the order. Silence is never a rejection.
    Unknown,
    /// Completely filled (terminal).
    Filled,
    /// Cancelled at our wish (terminal).
    Cancelled,
    /// Refused by the gate or the venue (terminal).
    Rejected,
    /// Ended with the session (terminal).
    Expired,
}

impl OrderState {
    /// Every state, working states first.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Validated,
        Self::Submitted,
        Self::Accepted,
        Self::Partial,
        Self::CancelPending,
        Self::Unknown,
        Self::Filled,
        Self::Cancelled,
        Self::Rejected,
        Self::Expired,
    ];

    /// Name as written in journals and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Validated => "VALIDATED",
            Self::Submitted => "SUBMITTED",
            Self::Accepted => "ACCEPTED",
            Self::Partial => "PARTIAL",
            Self::CancelPending => "CANCEL_PENDING",
            Self::Unknown => "UNKNOWN",
            Self::Filled => "FILLED",
            Self::Cancelled => "CANCELLED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether nothing more can happen to the order.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Rejected | Self::Expired)
    }

    /// State after `event`.
    ///
    /// # Errors
    /// [`OrderError::IllegalTransition`] if spec 02 §7.5 has no such row; the order keeps its state.
    #[allow(clippy::match_same_arms, reason = "one arm for each row of the table")]
    pub fn on(self, event: OrderEvent) -> Result<Self, OrderError> {
        use OrderEvent as E;
        use OrderState as S;
        Ok(match (self, event) {
            (S::Created, E::GatePassed) => S::Validated,
            (S::Created | S::Validated, E::GateFailed) => S::Rejected,
            (S::Validated, E::Sent) => S::Submitted,
            (S::Submitted | S::Unknown | S::Accepted, E::Acknowledged) => S::Accepted,
            (S::Partial, E::Acknowledged) => S::Partial,
            (S::Submitted | S::Unknown | S::Accepted | S::Partial | S::CancelPending, E::Refused) => {
                S::Rejected
            }
            (S::Submitted | S::Unknown, E::AnswerLost) => S::Unknown,
            (S::CancelPending, E::Acknowledged | E::PartFilled | E::CancelSent | E::AnswerLost) => {
                S::CancelPending
            }
            (S::Accepted, E::AnswerLost) => S::Accepted,
            (S::Partial, E::AnswerLost) => S::Partial,
            (S::Submitted | S::Accepted | S::Partial | S::Unknown, E::PartFilled) => S::Partial,
            (S::Submitted | S::Accepted | S::Partial | S::Unknown | S::CancelPending, E::FullyFilled) => {
                S::Filled
            }
            (S::Submitted | S::Accepted | S::Partial, E::CancelSent) => S::CancelPending,
            (S::CancelPending, E::CancelRefused) => S::Accepted,
            (S::CancelPending, E::CancelRefusedPartly) => S::Partial,
            (S::Submitted | S::Accepted | S::Partial | S::CancelPending | S::Unknown, E::CancelConfirmed) => {
                S::Cancelled
            }
            (S::Submitted | S::Accepted | S::Partial | S::CancelPending | S::Unknown, E::SessionEnded) => {
                S::Expired
            }
            (from, event) => return Err(OrderError::IllegalTransition { from, event }),
        })
    }
}

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEvent {
    /// All gates said yes and the order is recorded.
    GatePassed,
    /// A gate said no, or the order's permit ended unused: it never left.
    GateFailed,
    /// Handed to the venue link.
    Sent,
    /// The venue holds the order.
    Acknowledged,
    /// The venue refused the order, what is left of it, or has proven never to have had it.
    Refused,
    /// Timeout, disconnect or an answer nobody can read. What is known to work goes on working: only a new order becomes
    /// unknown.
    AnswerLost,
    /// A fill that leaves a remainder.
    PartFilled,
    /// The fill that completes the order.
    FullyFilled,
    /// A cancel request is on its way.
    CancelSent,
    /// The cancel was refused while nothing is filled: the order works on.
    CancelRefused,
    /// The same with a part filled.
    CancelRefusedPartly,
    /// The venue took the rest of the order off the book.
    CancelConfirmed,
    /// The session ended with the order on the book.
    SessionEnded,
}

impl OrderEvent {
    /// Every event.
    pub const ALL: [Self; 13] = [
        Self::GatePassed,
        Self::GateFailed,
        Self::Sent,
        Self::Acknowledged,
        Self::Refused,
        Self::AnswerLost,
        Self::PartFilled,
        Self::FullyFilled,
        Self::CancelSent,
        Self::CancelRefused,
        Self::CancelRefusedPartly,
        Self::CancelConfirmed,
        Self::SessionEnded,
    ];
}
