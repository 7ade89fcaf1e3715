//! Permits and the messages that they are redeemed for.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use qts_core::order::Refused;
use qts_core::order::gateway::{Outgoing as Message, Permit};

use super::words::{kind_name, tif_name};
use crate::views::side_name;

create_exception!(
    qts._core,
    OrderRefused,
    PyException,
    "A gate said no; args: reason, and when asking again may help (UTC nanoseconds, 0 = it does not)."
);
create_exception!(
    qts._core,
    PermitRefused,
    PyException,
    "Nothing may be written on this permit any more; args: reason."
);

pub(super) fn order_refused(refused: Refused) -> PyErr {
    OrderRefused::new_err((refused.reason.name(), refused.retry_at_ns))
}

/// A one-shot right to send one message. Dropped unused, it is void.
#[pyclass(module = "qts._core")]
pub(crate) struct SendPermit {
    pub(crate) permit: Permit,
    symbol: String,
}

impl SendPermit {
    pub(super) fn new(permit: Permit) -> Self {
        let symbol = permit.symbol();
        Self { permit, symbol }
    }
}

#[pymethods]
impl SendPermit {
    /// The order it is about.
    #[getter]
    fn order_id(&self) -> u64 {
        self.permit.order().0
    }

    /// PLACE, AMEND or CANCEL.
    #[getter]
    fn action(&self) -> &'static str {
        self.permit.action().name()
    }

    /// The message to write now; PermitRefused if nothing may be written.
    fn redeem(&mut self, now_ns: i64) -> PyResult<Outgoing> {
        let message = self.permit.redeem(now_ns).map_err(|reason| PermitRefused::new_err(reason.name()))?;
        Ok(Outgoing::new(message, self.symbol.clone()))
    }

    /// Give it back unused.
    fn void(&mut self) {
        self.permit.void();
    }

    fn __repr__(&self) -> String {
        format!("SendPermit({} of order {})", self.permit.action().name(), self.permit.order().0)
    }
}

/// What goes to the broker. Prices and quantities in the instrument's units.
#[pyclass(module = "qts._core", frozen, get_all)]
#[derive(Debug)]
pub(crate) struct Outgoing {
    order_id: u64,
    action: &'static str,
    instrument: u32,
    symbol: String,
    track: &'static str,
    side: &'static str,
    kind: &'static str,
    tif: &'static str,
    limit: i64,
    qty: i64,
    broker_no: String,
}

impl Outgoing {
    fn new(message: Message, symbol: String) -> Self {
        Self {
            order_id: message.order.0,
            action: message.action.name(),
            instrument: message.instrument.0,
            symbol,
            track: message.track.name(),
            side: side_name(message.side),
            kind: kind_name(message.kind),
            tif: tif_name(message.tif),
            limit: message.limit.0,
            qty: message.qty.0,
            broker_no: message.broker_no,
        }
    }
}
