//! What a simulated broker is set up with, and the two clocks it goes by: its hours and its allowance of requests.

use std::collections::VecDeque;

/// Settings of a [`super::SimExchange`].
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// When orders are taken and executed: from the first time of each pair up to the second, UTC nanoseconds, in
    /// ascending order. None = always.
    pub sessions: Vec<(i64, i64)>,
    /// Requests taken in any second, queries among them; 0 = any number.
    pub requests_per_s: usize,
    /// Time from the broker's answer until the exchange has the request, in nanoseconds. Within it an order can fill
    /// whose cancel has been taken.
    pub exchange_delay_ns: i64,
    /// First order number of a day.
    pub first_order_no: u64,
    /// Notices kept until they are fetched; beyond it the oldest are lost.
    pub notices_max: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            sessions: Vec::new(),
            requests_per_s: 18,
            exchange_delay_ns: 0,
            first_order_no: 1,
            notices_max: 65_536,
        }
    }
}

impl BrokerConfig {
    /// Whether orders are taken and executed at `ts_ns`.
    pub fn is_open(&self, ts_ns: i64) -> bool {
        let begun = self.sessions.partition_point(|&(open_ns, _)| open_ns <= ts_ns);
        let last = begun.checked_sub(1).and_then(|at| self.sessions.get(at));
        self.sessions.is_empty() || last.is_some_and(|&(_, close_ns)| ts_ns < close_ns)
    }
}

const SECOND_NS: i64 = 1_000_000_000;

/// Counts requests over a sliding second; one that is refused does not count.
#[derive(Debug)]
pub(super) struct Throttle {
    per_s: usize,
    taken_ns: VecDeque<i64>,
}

impl Throttle {
    pub(super) fn new(per_s: usize) -> Self {
        Self { per_s, taken_ns: VecDeque::with_capacity(per_s) }
    }

    /// Whether there is room for one more at `now_ns`, which never goes back.
    pub(super) fn take(&mut self, now_ns: i64) -> bool {
        if self.per_s == 0 {
            return true;
        }
        while self.taken_ns.front().is_some_and(|&at_ns| at_ns.saturating_add(SECOND_NS) <= now_ns) {
            self.taken_ns.pop_front();
        }
        let has_room = self.taken_ns.len() < self.per_s;
        if has_room {
            self.taken_ns.push_back(now_ns);
        }
        has_room
    }
}
