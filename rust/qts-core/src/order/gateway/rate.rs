//! How many messages the broker takes, shared by new orders, amendments and cancels.
//!
//! A bucket of tokens that fills up evenly. Entries leave the last of it to exits and cancels, exits leave theirs to
//! cancels: whatever happens, a cancel is the last that has to wait.

use super::GatewayConfig;

const NS_PER_S: i64 = 1_000_000_000;
/// A token, in the billionths that are counted: a rate of n a second adds n of them each nanosecond.
const TOKEN: i64 = 1_000_000_000;

/// Who asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Entry,
    Exit,
    Cancel,
}

#[derive(Debug)]
pub(super) struct RateBudget {
    /// Tokens a second, and the most there can be; 0 = no limit.
    per_s: i64,
    exit_reserve: i64,
    cancel_reserve: i64,
    level: i64,
    at_ns: i64,
}

impl RateBudget {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        let per_s = i64::from(config.orders_per_s);
        Self {
            per_s,
            exit_reserve: i64::from(config.exit_reserve),
            cancel_reserve: i64::from(config.cancel_reserve),
            level: per_s.saturating_mul(TOKEN),
            at_ns: i64::MIN,
        }
    }

    fn capacity(&self) -> i64 {
        self.per_s.saturating_mul(TOKEN)
    }

    /// What has to be there for one to be taken, in billionths of a token.
    fn needed(&self, urgency: Urgency) -> i64 {
        let left = match urgency {
            Urgency::Entry => self.exit_reserve.saturating_add(self.cancel_reserve),
            Urgency::Exit => self.cancel_reserve,
            Urgency::Cancel => 0,
        };
        left.saturating_add(1).saturating_mul(TOKEN)
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, urgency: Urgency, now_ns: i64) -> Result<(), i64> {
        if self.per_s == 0 {
            return Ok(());
        }
        if now_ns > self.at_ns {
            // Full after a second whatever it was: a longer pause adds nothing.
            let waited = if self.at_ns == i64::MIN {
                NS_PER_S
            } else {
                now_ns.saturating_sub(self.at_ns).min(NS_PER_S)
            };
            self.level = self.level.saturating_add(waited.saturating_mul(self.per_s)).min(self.capacity());
            self.at_ns = now_ns;
        }
        let lacking = self.needed(urgency).saturating_sub(self.level);
        if lacking > 0 {
            let wait_ns =
                lacking.saturating_add(self.per_s.saturating_sub(1)).checked_div(self.per_s).unwrap_or(0);
            return Err(self.at_ns.max(now_ns).saturating_add(wait_ns));
        }
        self.level = self.level.saturating_sub(TOKEN);
        Ok(())
    }

    /// Gives a token back: its message has not left.
    pub(super) fn give_back(&mut self) {
        self.level = self.level.saturating_add(TOKEN).min(self.capacity());
    }
}
