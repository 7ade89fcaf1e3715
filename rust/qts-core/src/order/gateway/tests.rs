#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;
use crate::event::{OrderId, Side};
use crate::fixed::Price;
use crate::order::{OrderError, OrderRequest, OrderState, Refusal, Refused, Terms};
use crate::safety::codes::FS040;
use crate::safety::{Flags, ProtectiveExits, State};
use crate::sim::matcher::{OrderKind, TimeInForce};
use crate::testing::krx_table;

mod exits;
mod holds;
mod life;
mod properties;

const SAMSUNG: InstrumentId = InstrumentId(0);
const HYNIX: InstrumentId = InstrumentId(1);
const T: i64 = 1_700_000_000 * 1_000_000_000;
const MS: i64 = 1_000_000;

fn gateway_with(cash: i64, config: GatewayConfig) -> Gateway {
    Gateway::new(Arc::new(krx_table(&["005930", "000660"])), Money(cash), config).unwrap()
}

fn gateway(cash: i64) -> Gateway {
    gateway_with(cash, GatewayConfig::unlimited())
}

fn order(side: Side, limit: i64, qty: i64) -> OrderRequest {
    OrderRequest {
        instrument: SAMSUNG,
        track: Track::Scalp,
        side,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(limit),
        qty: Qty(qty),
    }
}

fn terms(action: ActionClass) -> Terms {
    Terms { action, hold: 0, lease: 0 }
}

fn buy(limit: i64, qty: i64) -> Wish {
    Wish { request: order(Side::Buy, limit, qty), terms: terms(ActionClass::Entry), is_told_apart: false }
}

fn sell(limit: i64, qty: i64) -> Wish {
    let terms = terms(ActionClass::ProtectiveExit);
    Wish { request: order(Side::Sell, limit, qty), terms, is_told_apart: false }
}

fn why<T: fmt::Debug>(refused: Result<T, (OrderId, Refused)>) -> Refusal {
    refused.unwrap_err().1.reason
}

/// Requests and redeems at once.
fn place(gateway: &mut Gateway, wish: &Wish) -> OrderId {
    let ticket = gateway.request(wish, T).unwrap();
    let id = ticket.order();
    gateway.redeem(ticket, T).unwrap();
    id
}

fn fill(id: OrderId, event: &str, qty: i64, price: i64) -> BrokerFill<'_> {
    BrokerFill { order: id, event, qty: Qty(qty), price: Price(price), fee: None, tax: None }
}

/// Buys and fills.
fn holding(gateway: &mut Gateway, qty: i64) {
    let id = place(gateway, &buy(70_000, qty));
    gateway.on_fill(&fill(id, "open", qty, 70_000), T).unwrap();
}

fn state(gateway: &Gateway, id: OrderId) -> OrderState {
    gateway.orders().known(id).unwrap().state
}

fn decision(side: Side, qty: i64) -> Decision {
    let action = if side == Side::Buy { ActionClass::Entry } else { ActionClass::ProtectiveExit };
    Decision {
        instrument: SAMSUNG,
        track: Track::Scalp,
        side,
        qty: Qty(qty),
        hold_price: Price(70_000),
        action,
    }
}

const FINE: Surroundings = Surroundings {
    quote_ts_ns: T,
    max_age_ns: 0,
    is_link_up: true,
    is_market_open: true,
    is_state_open: true,
};

/// Cash that nothing has a claim on.
fn free(gateway: &Gateway) -> i64 {
    gateway.book().account().cash.0 - gateway.orders().reserved().0
}
