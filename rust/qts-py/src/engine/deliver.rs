//! What the engine has for Python, handed over one item at a time. No call holds the engine borrowed.

use pyo3::prelude::*;
use pyo3::types::PyString;
use qts_core::event::{CycleCause, OrderId, P0Payload, TickPayload};
use qts_core::instrument::InstrumentId;
use qts_core::order::gateway::Answer;

use super::{Callbacks, StepEngine};
use crate::views::{FillEvent, OrderEvent};

#[inline]
pub(super) fn deliver_tick(
    engine: &Bound<'_, StepEngine>,
    callbacks: &Callbacks,
    symbols: &[Py<PyString>],
    tick: TickPayload,
) -> PyResult<()> {
    let py = engine.py();
    for (number, handler) in callbacks.ticks.iter().enumerate() {
        if !handler.wants(tick.instrument) {
            continue;
        }
        let view = {
            let this = engine.borrow();
            let (working_buy, working_sell, held) = {
                let gateway = this.core.gateway().lock();
                let (buy, sell) = gateway.orders().working_qty(tick.instrument, handler.track);
                (buy, sell, gateway.book().position(tick.instrument, handler.track).qty)
            };
            let mut view = this.view.borrow_mut(py);
            view.position_qty = held.0;
            view.working_buy = working_buy.0;
            view.working_sell = working_sell.0;
            if view.tick.instrument != tick.instrument || view.tick.ts_recv_ns == i64::MIN {
                view.symbol = symbol(py, symbols, tick.instrument);
            }
            view.tick = tick;
            this.view.clone_ref(py)
        };
        let intent = handler.call.bind(py).call1((view,))?;
        if !intent.is_none() {
            let mut this = engine.borrow_mut();
            this.pending.push((number, intent.unbind()));
            this.core.request_cycle(CycleCause::Event);
        }
    }
    Ok(())
}

pub(super) fn deliver_p0(
    py: Python<'_>,
    callbacks: &Callbacks,
    symbols: &[Py<PyString>],
    kind: qts_core::event::EventType,
    payload: &P0Payload,
) -> PyResult<()> {
    let Some(call) = &callbacks.p0 else { return Ok(()) };
    match payload {
        P0Payload::Fill(fill) => {
            call.call1(py, (FillEvent::new(kind, fill, symbol(py, symbols, fill.instrument)),))?;
        }
        P0Payload::OrderEnd(end) => {
            call.call1(py, (OrderEvent::new(kind, end, symbol(py, symbols, end.instrument)),))?;
        }
        P0Payload::Position(_) | P0Payload::Stop(_) | P0Payload::Disconnect(_) => {}
    }
    Ok(())
}

pub(super) fn deliver_cycle(
    engine: &Bound<'_, StepEngine>,
    callbacks: &Callbacks,
    cause: CycleCause,
    scheduled_ns: i64,
) -> PyResult<()> {
    let intents = std::mem::take(&mut engine.borrow_mut().pending);
    if let Some(call) = &callbacks.cycle {
        call.call1(engine.py(), (cause.name(), scheduled_ns, intents))?;
    }
    Ok(())
}

pub(super) fn deliver_answer(
    engine: &Bound<'_, StepEngine>,
    callbacks: &Callbacks,
    order: OrderId,
    answer: Answer,
) -> PyResult<()> {
    let now_ns = engine.borrow().core.now_ns();
    if let Some(call) = &callbacks.answer {
        call.call1(engine.py(), (answer.name(), order.0, now_ns))?;
    }
    Ok(())
}

pub(super) fn deliver_timer(engine: &Bound<'_, StepEngine>, callbacks: &Callbacks) -> PyResult<()> {
    let now_ns = engine.borrow().core.now_ns();
    if let Some(call) = &callbacks.timer {
        call.call1(engine.py(), (now_ns,))?;
    }
    Ok(())
}

fn symbol(py: Python<'_>, symbols: &[Py<PyString>], instrument: InstrumentId) -> Py<PyString> {
    usize::try_from(instrument.0)
        .ok()
        .and_then(|id| symbols.get(id))
        .map_or_else(|| PyString::intern(py, "").unbind(), |symbol| symbol.clone_ref(py))
}
