//! Cash and holdings as a broker keeps them: by symbol, with the average cost, settled and unsettled together.

use crate::event::Side;
use crate::fixed::{FixedError, Money, Qty};
use crate::instrument::InstrumentId;

/// What is held of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// Quantity, in quantity units.
    pub qty: Qty,
    /// What it cost without fees, in money units.
    pub cost_total: Money,
}

/// One trade in money.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trade {
    pub instrument: InstrumentId,
    pub side: Side,
    pub qty: Qty,
    pub amount: Money,
    pub fee: Money,
    pub tax: Money,
}

#[derive(Debug)]
pub(super) struct Account {
    cash: Money,
    /// Dense by instrument number.
    holdings: Vec<Holding>,
}

impl Account {
    pub(super) fn new(instruments: usize, cash: Money) -> Self {
        Self { cash, holdings: vec![Holding::default(); instruments] }
    }

    pub(super) const fn cash(&self) -> Money {
        self.cash
    }

    pub(super) fn holding(&self, instrument: InstrumentId) -> Holding {
        let slot = usize::try_from(instrument.0).ok();
        slot.and_then(|slot| self.holdings.get(slot)).copied().unwrap_or_default()
    }

    pub(super) fn holdings(&self) -> impl Iterator<Item = (InstrumentId, Holding)> {
        (0..).map(InstrumentId).zip(self.holdings.iter().copied()).filter(|(_, holding)| holding.qty.0 > 0)
    }

    pub(super) fn deposit(&mut self, amount: Money) -> Result<(), FixedError> {
        self.cash = self.cash.checked_add(amount)?;
        Ok(())
    }

    pub(super) fn transfer_in(
        &mut self,
        instrument: InstrumentId,
        qty: Qty,
        cost: Money,
    ) -> Result<(), FixedError> {
        let before = self.holding(instrument);
        let after =
            Holding { qty: before.qty.checked_add(qty)?, cost_total: before.cost_total.checked_add(cost)? };
        self.set(instrument, after);
        Ok(())
    }

    /// Books a trade as a whole or not at all.
    pub(super) fn book(&mut self, trade: &Trade) -> Result<(), FixedError> {
        let before = self.holding(trade.instrument);
        let costs = trade.fee.checked_add(trade.tax)?;
        let (cash, after) = match trade.side {
            Side::Buy => (
                self.cash.checked_sub(trade.amount)?.checked_sub(costs)?,
                Holding {
                    qty: before.qty.checked_add(trade.qty)?,
                    cost_total: before.cost_total.checked_add(trade.amount)?,
                },
            ),
            Side::Sell => {
                let removed = before.cost_total.share_floor(trade.qty, before.qty)?;
                (
                    self.cash.checked_add(trade.amount)?.checked_sub(costs)?,
                    Holding {
                        qty: before.qty.checked_sub(trade.qty)?,
                        cost_total: before.cost_total.checked_sub(removed)?,
                    },
                )
            }
        };
        self.cash = cash;
        self.set(trade.instrument, after);
        Ok(())
    }

    fn set(&mut self, instrument: InstrumentId, holding: Holding) {
        let slot = usize::try_from(instrument.0).ok();
        if let Some(place) = slot.and_then(|slot| self.holdings.get_mut(slot)) {
            *place = holding;
        }
    }
}
