//! Which levels run: the highest of four independent wishes.

use crate::event::DegradationLevel;

/// Who may ask for a degradation level; the highest wish counts, and nobody can lower another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Slot {
    /// The safety state.
    Safety = 0,
    /// Queues that fill up; at most [`DegradationLevel::P2P3Paused`].
    Backpressure = 1,
    /// The operator.
    Operator = 2,
    /// A fault of the dispatcher itself that suspends decisions; at most [`DegradationLevel::P2P3Paused`].
    Fault = 3,
}

/// The wishes of all slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots([DegradationLevel; 4]);

impl Slots {
    /// Sets the level that `slot` asks for, within what it may ask for; returns the level in force.
    pub fn set(&mut self, slot: Slot, level: DegradationLevel) -> DegradationLevel {
        let bound = match slot {
            Slot::Backpressure | Slot::Fault => DegradationLevel::P2P3Paused,
            Slot::Safety | Slot::Operator => DegradationLevel::CriticalOnly,
        };
        if let Some(wish) = self.0.get_mut(slot as usize) {
            *wish = level.min(bound);
        }
        self.effective()
    }

    /// The level that `slot` asks for.
    pub fn wish(&self, slot: Slot) -> DegradationLevel {
        self.0.get(slot as usize).copied().unwrap_or_default()
    }

    /// The level in force: the highest of all slots.
    pub fn effective(&self) -> DegradationLevel {
        self.0.into_iter().max().unwrap_or_default()
    }
}
