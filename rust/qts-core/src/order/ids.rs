//! What a broker calls our orders and their fills. Strings are kept as they come and compared as they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::OrderId;

/// Numbers and fills of the orders that are known.
#[derive(Debug, Default)]
pub(super) struct BrokerIds {
    by_number: BTreeMap<Box<str>, u64>,
    /// Every number of an order, oldest first: an amendment brings a new one.
    chains: BTreeMap<u64, Vec<Box<str>>>,
    /// Fills that have been booked.
    fills: BTreeMap<u64, BTreeSet<Box<str>>>,
}

impl BrokerIds {
    /// Notes that `order` has `number` from now on; false if the number is another order's.
    pub(super) fn add(&mut self, order: OrderId, number: &str) -> bool {
        if number.is_empty() {
            return true;
        }
        if let Some(&owner) = self.by_number.get(number) {
            if owner != order.0 {
                return false;
            }
            // Told again: it is the newest one all the same.
            if let Some(chain) = self.chains.get_mut(&order.0) {
                chain.retain(|known| **known != *number);
            }
        }
        self.by_number.insert(number.into(), order.0);
        self.chains.entry(order.0).or_default().push(number.into());
        true
    }

    pub(super) fn find(&self, number: &str) -> Option<OrderId> {
        self.by_number.get(number).copied().map(OrderId)
    }

    pub(super) fn newest(&self, order: OrderId) -> Option<&str> {
        self.chains.get(&order.0)?.last().map(|number| &**number)
    }

    pub(super) fn chain(&self, order: OrderId) -> impl Iterator<Item = &str> {
        self.chains.get(&order.0).into_iter().flatten().map(|number| &**number)
    }

    pub(super) fn has_fill(&self, order: OrderId, event: &str) -> bool {
        self.fills.get(&order.0).is_some_and(|fills| fills.contains(event))
    }

    pub(super) fn note_fill(&mut self, order: OrderId, event: &str) {
        self.fills.entry(order.0).or_default().insert(event.into());
    }

    pub(super) fn forget(&mut self, order: u64) {
        for number in self.chains.remove(&order).into_iter().flatten() {
            self.by_number.remove(&number);
        }
        self.fills.remove(&order);
    }
}
