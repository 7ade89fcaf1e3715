//! Ticks on their way to Python as records: whole batches cross the border as bytes, without an object for each.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use qts_core::dispatch::live::{Delivery, Handler, TickBytes, TickFault, tick_record};
use qts_core::event::{DegradationLevel, EventType, PutResult};

use super::lock;
use super::outbox::{Terms, WakeUp};

/// Ticks that wait for Python; the oldest give way.
#[derive(Debug)]
pub(super) struct TickOutbox {
    store: Mutex<Store>,
    wake: WakeUp,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Store {
    waiting: VecDeque<TickBytes>,
    dropped: u64,
}

impl TickOutbox {
    pub(super) fn new(capacity: usize) -> std::io::Result<Self> {
        Ok(Self { store: Mutex::default(), wake: WakeUp::new()?, capacity: capacity.max(1) })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    pub(super) fn signal(&self) {
        self.wake.signal();
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.store).waiting.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        lock(&self.store).dropped
    }

    /// Takes the oldest records out as bytes; none while P1 is paused or the dispatcher does not run.
    pub(super) fn take<'py>(&self, py: Python<'py>, terms: Terms) -> Bound<'py, PyBytes> {
        self.wake.answer();
        let runs = terms.is_open && terms.level < DegradationLevel::CriticalOnly;
        let most = if runs { terms.max } else { 0 };
        let batch: Vec<TickBytes> = py.detach(|| {
            let mut store = lock(&self.store);
            let count = store.waiting.len().min(most);
            let batch: Vec<TickBytes> = store.waiting.drain(..count).collect();
            if count > 0 && !store.waiting.is_empty() {
                self.signal();
            }
            batch
        });
        PyBytes::new(py, batch.as_flattened())
    }
}

impl Handler for TickOutbox {
    fn name(&self) -> &'static str {
        "python-ticks"
    }

    fn wants(&self, kind: EventType) -> bool {
        kind == EventType::PriceTick
    }

    /// Events that were dispatched one by one are for the other handlers.
    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        let Some(record) = tick_record(event.header, event.payload) else { return Ok(()) };
        let mut store = lock(&self.store);
        if store.waiting.len() >= self.capacity {
            store.waiting.pop_front();
            store.dropped = store.dropped.wrapping_add(1);
        }
        store.waiting.push_back(record);
        drop(store);
        self.signal();
        Ok(())
    }
}

/// What became of the ticks of a batch.
#[derive(Debug, Default)]
pub(super) struct Tally {
    admitted: u64,
    displaced: u64,
    refused: u64,
    closed: u64,
}

impl Tally {
    pub(super) fn count(&mut self, result: PutResult) {
        let cell = match result {
            PutResult::Closed => &mut self.closed,
            PutResult::AcceptedDroppedOldest => {
                self.displaced = self.displaced.wrapping_add(1);
                &mut self.admitted
            }
            PutResult::Accepted => &mut self.admitted,
            _ => &mut self.refused,
        };
        *cell = cell.wrapping_add(1);
    }

    pub(super) fn row(&self) -> (u64, u64, u64, u64) {
        (self.admitted, self.displaced, self.refused, self.closed)
    }
}

/// `ValueError` with number of the record, field, found and expected.
pub(super) fn fault(fault: TickFault) -> PyErr {
    PyValueError::new_err((fault.record, fault.field, fault.found, fault.expected))
}
