//! Names of the contracts as types of the core.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::fixed::{Price, Qty};
use qts_core::instrument::InstrumentId;
use qts_core::order::gateway::{GatewayConfig, Holder, Listed};
use qts_core::order::{OrderRequest, WorkingOrder};
use qts_core::safety::ActionClass;
use qts_core::sim::matcher::{OrderKind, TimeInForce};

use crate::errors;
use crate::instruments::side;
use crate::views::{side_name, track};

/// Number, original number, symbol, side, kind, qty, limit, filled, remaining, live, time: a `ListedOrder`.
pub(super) type ListedRow = (String, String, String, String, String, i64, i64, i64, i64, bool, i64);

fn kind(name: &str) -> PyResult<OrderKind> {
    match name {
        "LIMIT" => Ok(OrderKind::Limit),
        "MARKET" => Ok(OrderKind::Market),
        other => Err(errors::value(format!("kind is {other:?}; expected 'LIMIT' or 'MARKET'"))),
    }
}

pub(super) const fn kind_name(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Limit => "LIMIT",
        OrderKind::Market => "MARKET",
    }
}

fn tif(name: &str) -> PyResult<TimeInForce> {
    match name {
        "DAY" => Ok(TimeInForce::Day),
        "IOC" => Ok(TimeInForce::Ioc),
        other => Err(errors::value(format!("tif is {other:?}; expected 'DAY' or 'IOC'"))),
    }
}

pub(super) const fn tif_name(tif: TimeInForce) -> &'static str {
    match tif {
        TimeInForce::Day => "DAY",
        TimeInForce::Ioc => "IOC",
    }
}

/// An order by its names: track, side, kind, tif.
pub(crate) fn wanted(instrument: u32, names: [&str; 4], limit: i64, qty: i64) -> PyResult<OrderRequest> {
    let [track, side, kind, tif] = names;
    Ok(OrderRequest {
        instrument: InstrumentId(instrument),
        track: self::track(track)?,
        side: self::side(side)?,
        kind: self::kind(kind)?,
        tif: self::tif(tif)?,
        limit: Price(limit),
        qty: Qty(qty),
    })
}

pub(crate) fn action(name: &str) -> PyResult<ActionClass> {
    let class = ActionClass::ALL.into_iter().find(|class| class.name() == name);
    class.ok_or_else(|| errors::value(format!("action is {name:?}; expected a name of ACTION_CLASSES")))
}

pub(super) fn holder(name: &str) -> PyResult<Holder> {
    let holder = Holder::ALL.into_iter().find(|holder| holder.name() == name);
    holder.ok_or_else(|| {
        errors::value(format!("holder is {name:?}; expected 'LOOP', 'OPERATOR', 'EXECUTION' or 'STRATEGY'"))
    })
}

pub(super) fn listed(row: ListedRow) -> PyResult<Listed> {
    let (broker_no, original_no, symbol, side_text, kind_text, qty, limit, _, _, _, ts_ns) = row;
    Ok(Listed {
        broker_no,
        original_no,
        symbol,
        side: side(&side_text)?,
        kind: kind(&kind_text)?,
        qty: Qty(qty),
        limit: Price(limit),
        ts_ns,
    })
}

/// Limits from a mapping; what it does not name is as in `start`.
pub(crate) fn limits(config: Option<&Bound<'_, PyDict>>, start: GatewayConfig) -> PyResult<GatewayConfig> {
    let mut limits = start;
    let Some(config) = config else { return Ok(limits) };
    for (key, value) in config {
        let key: String = key.extract()?;
        let field = match key.as_str() {
            "orders_per_s" => &mut limits.orders_per_s,
            "exit_reserve" => &mut limits.exit_reserve,
            "cancel_reserve" => &mut limits.cancel_reserve,
            "permit_ttl_ms" => &mut limits.permit_ttl_ms,
            "price_age_ms" => &mut limits.price_age_ms,
            "shadow_capacity" => &mut limits.shadow_capacity,
            other => return Err(errors::value(format!("unknown gateway key {other:?}"))),
        };
        *field = value.extract()?;
    }
    if limits.orders_per_s == 0 {
        (limits.exit_reserve, limits.cancel_reserve) = (0, 0);
    }
    Ok(limits)
}

/// Id, instrument, track, side, kind, tif, limit, qty, filled, state, broker number, hold, lease, submitted_ns.
pub(super) type WorkingRow = (
    u64,
    (u32, &'static str, &'static str, &'static str, &'static str),
    (i64, i64, i64),
    &'static str,
    String,
    (u64, u64, i64),
);

pub(super) fn working_row(order: &WorkingOrder, number: &str) -> WorkingRow {
    let request = &order.request;
    (
        order.id.0,
        (
            request.instrument.0,
            request.track.name(),
            side_name(request.side),
            kind_name(request.kind),
            tif_name(request.tif),
        ),
        (request.limit.0, request.qty.0, order.filled.0),
        order.state.name(),
        number.to_owned(),
        (order.terms.hold, order.terms.lease, order.submitted_ns),
    )
}
