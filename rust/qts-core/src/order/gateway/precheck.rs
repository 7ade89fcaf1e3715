//! Stage 1 of an execution in one step: every gate in the order of spec 15 §4.1, and the hold.

use super::super::table::worst_cost;
use super::{Gateway, NS_PER_MS};
use crate::event::{Side, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::safety::ActionClass;

/// What is to be traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Track that pays or holds.
    pub track: Track,
    /// Purchases are entries, sales are exits.
    pub side: Side,
    /// Quantity wished, in quantity units.
    pub qty: Qty,
    /// Worst price that a purchase may come to, in price units.
    pub hold_price: Price,
    /// What the safety word is asked for.
    pub action: ActionClass,
}

/// What the gateway does not know by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "three independent facts")]
pub struct Surroundings {
    /// Time of the newest quote, UTC nanoseconds; 0 = none.
    pub quote_ts_ns: i64,
    /// Oldest quote that will do, in nanoseconds; 0 = as configured.
    pub max_age_ns: i64,
    /// Whether orders reach the broker and fills come back.
    pub is_link_up: bool,
    /// Whether the session takes this order.
    pub is_market_open: bool,
    /// Whether the operating state lets entries through.
    pub is_state_open: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Why not; empty if it passes.
    pub reason: &'static str,
    /// What may go, in quantity units.
    pub qty: Qty,
    /// Hold for it; 0 = none.
    pub hold: u64,
    /// How many of the gates were asked: SAFETY, POSITION, CAPITAL, BROKER, MARKET, PRICE.
    pub asked: u8,
}

impl Gateway {
    /// Asks every gate and holds what the quantity that may go can cost.
    ///
    /// A purchase that cannot be paid as a whole shrinks to the lots that can. A refusal after the hold releases it.
    pub fn precheck(&mut self, decision: &Decision, around: &Surroundings, now_ns: i64) -> Check {
        self.saw(now_ns);
        let refused = |reason, asked| Check { reason, qty: Qty(0), hold: 0, asked };
        if let Some(reason) = self.safety_gate(decision, around) {
            return refused(reason, 1);
        }
        if let Some(reason) = self.position_gate(decision) {
            return refused(reason, 2);
        }
        let (qty, cost) = match decision.side {
            Side::Sell => (decision.qty, Money(0)),
            Side::Buy => self.affordable(decision, now_ns),
        };
        if qty.0 == 0 {
            return refused("INSUFFICIENT_CAPITAL", 3);
        }
        // Nothing else happens between here and the hold: who is refused by a later gate has never held anything.
        if !around.is_link_up {
            return refused("BROKER_DISCONNECTED", 4);
        }
        if !around.is_market_open {
            return refused("MARKET_CLOSED", 5);
        }
        let max_age_ns = match around.max_age_ns {
            0 => i64::from(self.config.price_age_ms).saturating_mul(NS_PER_MS),
            given => given,
        };
        let is_fresh = around.quote_ts_ns > 0 && now_ns.saturating_sub(around.quote_ts_ns) <= max_age_ns;
        if decision.side == Side::Buy && !is_fresh {
            return refused("PRICE_STALE", 6);
        }
        let hold = match decision.side {
            Side::Sell => 0,
            Side::Buy => {
                self.open_hold((decision.instrument, decision.track), decision.hold_price, qty, cost)
            }
        };
        Check { reason: "", qty, hold, asked: 6 }
    }

    fn safety_gate(&self, decision: &Decision, around: &Surroundings) -> Option<&'static str> {
        if !self.permits_action(decision.action) {
            return Some("SAFETY_BLOCKED");
        }
        if decision.side == Side::Sell {
            return None;
        }
        if !around.is_state_open || self.book.pool(decision.track).is_some_and(|pool| pool.is_blocked) {
            return Some("STATE_BLOCKED");
        }
        self.blocks.is_frozen(decision.instrument).then_some("SYMBOL_FROZEN")
    }

    fn position_gate(&self, decision: &Decision) -> Option<&'static str> {
        const INVALID: Option<&str> = Some("POSITION_INVALID");
        let Some(instrument) = self.instrument(decision.instrument) else { return INVALID };
        let is_entry_class = matches!(decision.action, ActionClass::Entry | ActionClass::OperatorIncrease);
        let lots = decision.qty.0.checked_rem(instrument.lot().0.max(1));
        if decision.qty.0 <= 0 || lots != Some(0) || is_entry_class != (decision.side == Side::Buy) {
            return INVALID;
        }
        match decision.side {
            Side::Sell => {
                let free = self.unsold(decision.instrument, decision.track);
                (decision.qty.0 > free).then_some("POSITION_INVALID")
            }
            Side::Buy => {
                let at = (decision.instrument, decision.track);
                let (buying, _) = self.table.working_qty(decision.instrument, decision.track);
                let is_held = self.holds.rows().any(|hold| (hold.instrument, hold.track) == at);
                if buying.0 > 0 || is_held {
                    return INVALID;
                }
                self.has_no_room(decision).then_some("SHADOW_FULL")
            }
        }
    }

    /// Whether a new position would be more than can be watched, with those that purchases on their way may open.
    fn has_no_room(&self, decision: &Decision) -> bool {
        let is_flat = |instrument, track| self.book.position(instrument, track).qty.0 == 0;
        if !is_flat(decision.instrument, decision.track) {
            return false;
        }
        let coming = self.holds.rows().filter(|hold| is_flat(hold.instrument, hold.track)).count();
        let count = self.book.open_count().saturating_add(coming);
        count >= usize::try_from(self.config.shadow_capacity).unwrap_or(usize::MAX)
    }

    /// The most of the quantity that can be paid, in whole lots, and what it may cost.
    fn affordable(&self, decision: &Decision, now_ns: i64) -> (Qty, Money) {
        const NOTHING: (Qty, Money) = (Qty(0), Money(0));
        let Some(instrument) = self.instrument(decision.instrument) else { return NOTHING };
        let holdings = self.holdings(decision.instrument, decision.track);
        let Ok(free) = self.table.free_for(decision.track, holdings) else { return NOTHING };
        if decision.hold_price.0 <= 0 || free.0 <= 0 {
            return NOTHING;
        }
        let cost = |qty: Qty| cost_within(instrument, decision.hold_price, qty, free, now_ns);
        if let Some(money) = cost(decision.qty) {
            return (decision.qty, money);
        }
        let lot = instrument.lot().0.max(1);
        let of_lots = |lots: i64| Qty(lots.saturating_mul(lot));
        // `fits` lots can be paid, `fails` cannot.
        let (mut fits, mut fails) = (0_i64, decision.qty.0.checked_div(lot).unwrap_or(0));
        while fails.saturating_sub(fits) > 1 {
            let middle = fits.midpoint(fails);
            if cost(of_lots(middle)).is_some() {
                fits = middle;
            } else {
                fails = middle;
            }
        }
        match cost(of_lots(fits)) {
            Some(money) if fits > 0 => (of_lots(fits), money),
            _ => NOTHING,
        }
    }
}

/// What `qty` may cost, if it is no more than `free`.
fn cost_within(instrument: &Instrument, price: Price, qty: Qty, free: Money, now_ns: i64) -> Option<Money> {
    worst_cost(instrument, price, qty, now_ns).ok().filter(|&cost| cost <= free)
}
