//! The ten states of an execution and their table of transitions (spec 15 §5.1).

use thiserror::Error;

/// Where an execution stands. Terminal states are never left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExecState {
    /// Received.
    Init,
    /// Stage 1: may it go, and how much of it.
    PreCheck,
    /// Stage 2: into which orders.
    Splitting,
    /// Stage 3: the orders that are due leave.
    Sending,
    /// Stage 4: fills are awaited.
    Monitoring,
    /// Stage 5: orders that wait get another price.
    Adjusting,
    /// Stage 6: everything is cancelled, and if need be sold.
    Escaping,
    /// Over: every order has ended (terminal).
    Complete,
    /// Over by an escape (terminal).
    Escaped,
    /// Over without anything done, or given up by an operator (terminal).
    Failed,
}

/// What happens to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExecEvent {
    /// A decision that has not been seen before.
    Received,
    /// Stage 1 let it pass.
    Passed,
    /// Stage 1 refused it, or took too long.
    Refused,
    /// The orders add up.
    Split,
    /// They do not, or it took too long.
    SplitFailed,
    /// An order is out and none is in doubt.
    Sent,
    /// Every order failed and is proven absent.
    SendFailed,
    /// An order waits, and there is a round left for it.
    Waits,
    /// The adjustments have been answered.
    Adjusted,
    /// Everything has filled, or the rest is confirmed cancelled.
    Done,
    /// Something made it escape.
    Escape,
    /// Nothing is live or in doubt any more, and the goal of the escape is reached.
    EscapeDone,
    /// An operator takes over what is left.
    GivenUp,
}

/// The table has no such row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an execution in {} cannot take {event:?}", from.name())]
pub struct ForbiddenTransition {
    /// State found.
    pub from: ExecState,
    /// Event that came.
    pub event: ExecEvent,
}

impl ExecState {
    /// Every state, in the order of an execution's life.
    pub const ALL: [Self; 10] = [
        Self::Init,
        Self::PreCheck,
        Self::Splitting,
        Self::Sending,
        Self::Monitoring,
        Self::Adjusting,
        Self::Escaping,
        Self::Complete,
        Self::Escaped,
        Self::Failed,
    ];

    /// Name in records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::PreCheck => "PRECHECK",
            Self::Splitting => "SPLITTING",
            Self::Sending => "SENDING",
            Self::Monitoring => "MONITORING",
            Self::Adjusting => "ADJUSTING",
            Self::Escaping => "ESCAPING",
            Self::Complete => "COMPLETE",
            Self::Escaped => "ESCAPED",
            Self::Failed => "FAILED",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more can happen to the execution.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Escaped | Self::Failed)
    }

    /// State after `event`.
    ///
    /// # Errors
    /// [`ForbiddenTransition`]; the execution keeps its state, and escapes.
    pub const fn on(self, event: ExecEvent) -> Result<Self, ForbiddenTransition> {
        use ExecEvent as E;
        use ExecState as S;
        Ok(match (self, event) {
            (S::Init, E::Received) => S::PreCheck,
            (S::PreCheck, E::Passed) => S::Splitting,
            (S::PreCheck, E::Refused) | (S::Splitting, E::SplitFailed) | (S::Sending, E::SendFailed) => {
                S::Failed
            }
            (S::Splitting, E::Split) => S::Sending,
            (S::Sending, E::Sent) | (S::Adjusting, E::Adjusted) => S::Monitoring,
            (S::Monitoring, E::Done) => S::Complete,
            (S::Monitoring, E::Waits) => S::Adjusting,
            (S::Init | S::PreCheck | S::Splitting | S::Sending | S::Monitoring | S::Adjusting, E::Escape) => {
                S::Escaping
            }
            (S::Escaping, E::EscapeDone) => S::Escaped,
            (S::Escaping, E::GivenUp) => S::Failed,
            (from, event) => return Err(ForbiddenTransition { from, event }),
        })
    }

    /// Whether any event leads from one state to the other.
    pub fn may_go(self, to: Self) -> bool {
        ExecEvent::ALL.into_iter().any(|event| self.on(event) == Ok(to))
    }
}

impl ExecEvent {
    /// Every event.
    pub const ALL: [Self; 13] = [
        Self::Received,
        Self::Passed,
        Self::Refused,
        Self::Split,
        Self::SplitFailed,
        Self::Sent,
        Self::SendFailed,
        Self::Waits,
        Self::Adjusted,
        Self::Done,
        Self::Escape,
        Self::EscapeDone,
        Self::GivenUp,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of spec 15 §5.1, row by row; what is not in it is forbidden.
    const TABLE: [(ExecState, ExecEvent, ExecState); 18] = {
        use ExecEvent as E;
        use ExecState as S;
        [
            (S::Init, E::Received, S::PreCheck),
            (S::PreCheck, E::Passed, S::Splitting),
            (S::PreCheck, E::Refused, S::Failed),
            (S::Splitting, E::Split, S::Sending),
            (S::Splitting, E::SplitFailed, S::Failed),
            (S::Sending, E::Sent, S::Monitoring),
            (S::Sending, E::SendFailed, S::Failed),
            (S::Monitoring, E::Done, S::Complete),
            (S::Monitoring, E::Waits, S::Adjusting),
            (S::Adjusting, E::Adjusted, S::Monitoring),
            (S::Escaping, E::EscapeDone, S::Escaped),
            (S::Escaping, E::GivenUp, S::Failed),
            (S::Init, E::Escape, S::Escaping),
            (S::PreCheck, E::Escape, S::Escaping),
            (S::Splitting, E::Escape, S::Escaping),
            (S::Sending, E::Escape, S::Escaping),
            (S::Monitoring, E::Escape, S::Escaping),
            (S::Adjusting, E::Escape, S::Escaping),
        ]
    };

    #[test]
    fn every_pair_of_state_and_event_is_as_the_table_says() {
        for from in ExecState::ALL {
            for event in ExecEvent::ALL {
                let row = TABLE.iter().find(|row| (row.0, row.1) == (from, event));
                let expected = row.map(|row| row.2).ok_or(ForbiddenTransition { from, event });
                assert_eq!(from.on(event), expected);
            }
        }
    }

    #[test]
    fn every_state_but_the_first_is_reached_and_every_one_but_the_last_three_is_left() {
        for to in ExecState::ALL {
            let is_reached = ExecState::ALL.into_iter().any(|from| from.may_go(to));
            assert_eq!(is_reached, to != ExecState::Init, "{}", to.name());
            let is_left = ExecState::ALL.into_iter().any(|next| to.may_go(next));
            assert_eq!(is_left, !to.is_terminal(), "{}", to.name());
            assert_eq!(ExecState::from_name(to.name()), Some(to));
        }
    }
}
