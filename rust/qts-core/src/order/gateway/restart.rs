//! Orders of a process that has ended, taken in as its journal knew them.
//!
//! No gate is asked: they are out already, or may be. What they filled and how they ended is told afterwards, as by a
//! broker.

use super::super::{Amend, OrderError, OrderRequest, OrderState, Terms, WorkingOrder};
use super::Gateway;
use crate::event::OrderId;
use crate::fixed::{Money, Price, Qty};

/// An order as a journal knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored<'a> {
    /// Identity; later orders get higher ones.
    pub id: OrderId,
    /// What was asked for, as the last amendment with an answer left it.
    pub request: OrderRequest,
    /// Who is behind it.
    pub terms: Terms,
    /// The broker's numbers of it, oldest first. Without one nobody knows whether the broker has it.
    pub numbers: &'a [String],
    /// When it was sent, UTC nanoseconds.
    pub submitted_ns: i64,
    /// Price and quantity of an amendment without an answer.
    pub amend: Option<(Price, Qty)>,
}

impl Gateway {
    /// Takes in an order of the process before this one: ACCEPTED if it has a number, else UNKNOWN.
    ///
    /// It reserves what its rest may cost, whichever side of an amendment is true.
    ///
    /// # Errors
    /// [`OrderError::UnknownInstrument`]; [`OrderError::AlreadyKnown`] if there is an order of that number, or one of its
    /// numbers at the broker is another order's. Nothing changes then.
    pub fn restore_order(
        &mut self,
        restored: &Restored<'_>,
        now_ns: i64,
    ) -> Result<WorkingOrder, OrderError> {
        self.saw(now_ns);
        let Restored { id, request, terms, numbers, submitted_ns, amend } = *restored;
        if self.instruments.get(request.instrument).is_none() {
            return Err(OrderError::UnknownInstrument(request.instrument.0));
        }
        let is_anothers = numbers.iter().any(|number| self.table.ids.find(number).is_some());
        if self.table.known(id).is_some() || is_anothers {
            return Err(OrderError::AlreadyKnown(id));
        }
        self.table.restore(WorkingOrder {
            id,
            request,
            terms,
            state: if numbers.is_empty() { OrderState::Unknown } else { OrderState::Accepted },
            filled: Qty(0),
            reserved: Money(0),
            submitted_ns,
            amend: amend.map(|(limit, qty)| Amend { limit, qty, is_sent: true, is_in_doubt: true }),
            is_cancel_in_doubt: false,
            is_not_received: false,
        });
        for number in numbers {
            self.table.ids.add(id, number);
        }
        self.change(id, |_| ()).ok_or(OrderError::NotWorking(id)) // which reserves
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

    use std::sync::Arc;

    use super::super::{Answer, BrokerFill, FillState, GatewayConfig};
    use super::*;
    use crate::event::{Side, Track};
    use crate::instrument::InstrumentId;
    use crate::safety::ActionClass;
    use crate::sim::matcher::{OrderKind, TimeInForce};
    use crate::testing::krx_table;

    fn gateway() -> Gateway {
        Gateway::new(Arc::new(krx_table(&["005930"])), Money(10_000_000), GatewayConfig::default()).unwrap()
    }

    fn order(id: u64, numbers: &[String]) -> Restored<'_> {
        let request = OrderRequest {
            instrument: InstrumentId(0),
            track: Track::Scalp,
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: TimeInForce::Day,
            limit: Price(70_000),
            qty: Qty(10),
        };
        let terms = Terms { action: ActionClass::Entry, hold: 0, lease: 0 };
        Restored { id: OrderId(id), request, terms, numbers, submitted_ns: 5, amend: None }
    }

    fn fill(id: u64, event: &str, qty: i64) -> BrokerFill<'_> {
        let (fee, tax) = (Some(Money(0)), Some(Money(0)));
        BrokerFill { order: OrderId(id), event, qty: Qty(qty), price: Price(70_000), fee, tax }
    }

    #[test]
    fn what_may_live_reserves_and_is_known_by_its_numbers() {
        let mut gateway = gateway();
        let numbers = ["11".to_owned(), "12".to_owned()];
        assert_eq!(gateway.restore_order(&order(7, &numbers), 9).unwrap().state, OrderState::Accepted);
        assert_eq!(gateway.restore_order(&order(4, &[]), 9).unwrap().state, OrderState::Unknown);
        assert!(gateway.orders().reserved() >= Money(1_400_000));
        assert_eq!(gateway.find("11"), Some(OrderId(7)));
        assert_eq!(gateway.number_of(OrderId(7)), "12");
        assert_eq!(gateway.table.refuse(), OrderId(8), "later orders get higher numbers");
    }

    #[test]
    fn an_amendment_without_an_answer_reserves_for_the_dearer_side() {
        let mut gateway = gateway();
        let numbers = ["11".to_owned()];
        let amended = Restored { amend: Some((Price(80_000), Qty(10))), ..order(1, &numbers) };
        let held = gateway.restore_order(&amended, 9).unwrap().reserved;
        assert!(held >= Money(800_000));
        let after = gateway.on_answer(OrderId(1), Answer::Amended, 9).unwrap();
        assert_eq!((after.request.limit, after.amend), (Price(80_000), None));
    }

    #[test]
    fn fills_and_ends_follow_as_from_a_broker() {
        let mut gateway = gateway();
        let numbers = ["11".to_owned()];
        gateway.restore_order(&order(1, &numbers), 9).unwrap();
        gateway.restore_order(&order(2, &[]), 9).unwrap();
        let outcome = gateway.on_fill(&fill(1, "e1", 4), 9).unwrap();
        assert_eq!((outcome.state, outcome.position), (FillState::Order(OrderState::Partial), Qty(4)));
        assert_eq!(gateway.on_fill(&fill(1, "e1", 4), 9).unwrap().state, FillState::Duplicate);
        gateway.on_answer(OrderId(1), Answer::Cancelled, 9).unwrap();
        gateway.on_answer(OrderId(2), Answer::Rejected(true), 9).unwrap();
        assert_eq!(gateway.orders().reserved(), Money(0));
        assert_eq!(gateway.book().account().cash, Money(10_000_000 - 280_000));
    }

    #[test]
    fn nothing_is_taken_in_twice() {
        let mut gateway = gateway();
        let numbers = ["11".to_owned()];
        gateway.restore_order(&order(1, &numbers), 9).unwrap();
        assert_eq!(gateway.restore_order(&order(1, &[]), 9), Err(OrderError::AlreadyKnown(OrderId(1))));
        assert_eq!(gateway.restore_order(&order(2, &numbers), 9), Err(OrderError::AlreadyKnown(OrderId(2))));
        let mut strange = order(3, &[]);
        strange.request.instrument = InstrumentId(9);
        assert_eq!(gateway.restore_order(&strange, 9), Err(OrderError::UnknownInstrument(9)));
        assert!(gateway.orders().known(OrderId(2)).is_none());
    }
}
