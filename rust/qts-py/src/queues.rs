//! The four queues for Python, one class each. None of their methods waits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::dispatch::live::{HeapEvent, SlotEvent};
use qts_core::event::PutResult;
use qts_core::queue::{
    BoundedConsumer, BoundedProducer, BoundedQueue, CollapsingQueue, ProducerKind, QueueCounters, RingBuffer,
    RingConsumer, RingProducer, SamplingQueue,
};

use crate::bus::lock;
use crate::carried::{self, Carried, OutRow, WireEvent};
use crate::errors;

fn slot(event: &WireEvent) -> PyResult<SlotEvent> {
    match &event.0 {
        Carried::Slot(_, event) => Ok(*event),
        Carried::Heap(_) => Err(errors::value("an event of P2 or P3; expected one of P0 or P1")),
    }
}

fn heap(event: &WireEvent) -> PyResult<HeapEvent> {
    match &event.0 {
        Carried::Heap(event) => Ok(event.clone()),
        Carried::Slot(..) => Err(errors::value("an event of P0 or P1; expected one of P2 or P3")),
    }
}

fn slot_rows(py: Python<'_>, next: impl FnMut() -> Option<SlotEvent>, max: usize) -> Vec<OutRow<'_>> {
    let mut payload = Vec::new();
    std::iter::from_fn(next)
        .take(max)
        .map(|event| {
            payload.clear();
            event.payload_into(&mut payload);
            carried::slot_row(py, &event.header, &payload)
        })
        .collect()
}

fn heap_rows(py: Python<'_>, next: impl FnMut() -> Option<HeapEvent>, max: usize) -> Vec<OutRow<'_>> {
    std::iter::from_fn(next).take(max).map(|event| carried::heap_row(py, &event)).collect()
}

fn counters<'py>(py: Python<'py>, counters: &QueueCounters) -> PyResult<Bound<'py, PyDict>> {
    let table = PyDict::new(py);
    for (name, value) in [
        ("admitted", counters.admitted),
        ("handled", counters.handled),
        ("dropped", counters.dropped),
        ("merged", counters.merged),
        ("sampled_out", counters.sampled_out),
        ("refused", counters.refused),
        ("spilled", counters.spilled),
        ("expired", counters.expired),
    ] {
        table.set_item(name, value)?;
    }
    Ok(table)
}

fn size(name: &str, value: usize) -> PyResult<usize> {
    if value == 0 { Err(errors::value(format!("{name} is 0; expected at least 1"))) } else { Ok(value) }
}

fn no_end() -> PyErr {
    errors::engine("a new queue has no end to give")
}

/// P0: refuses when it is full, so that nothing is lost.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct P0Queue {
    queue: BoundedQueue<SlotEvent>,
    producer: Mutex<BoundedProducer<SlotEvent>>,
    consumer: Mutex<BoundedConsumer<SlotEvent>>,
}

#[pymethods]
impl P0Queue {
    /// A queue of `capacity` events.
    #[new]
    fn new(capacity: usize) -> PyResult<Self> {
        let queue = BoundedQueue::new(size("capacity", capacity)?, 0, 0, 1);
        let producer = Mutex::new(queue.producer(ProducerKind::Ordinary).ok_or_else(no_end)?);
        let consumer = Mutex::new(queue.consumer());
        Ok(Self { queue, producer, consumer })
    }

    /// Put one event; returns the number of the result.
    fn put(&self, event: &WireEvent) -> PyResult<u8> {
        let mut event = slot(event)?;
        let mut producer = lock(&self.producer);
        event.header.seq = producer.next_seq();
        Ok(producer.try_put(&event) as u8)
    }

    /// Take up to `max` events, oldest first.
    fn take<'py>(&self, py: Python<'py>, max: usize) -> Vec<OutRow<'py>> {
        let mut consumer = lock(&self.consumer);
        slot_rows(py, || consumer.pop(), max)
    }

    fn __len__(&self) -> usize {
        self.queue.len()
    }

    /// Let no more events in; what is in can still be taken.
    fn close(&self) {
        self.queue.close();
    }

    /// What became of the events so far.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, &self.queue.counters())
    }
}

/// P1: the oldest event gives way.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct P1Queue {
    queue: RingBuffer<SlotEvent>,
    producer: Mutex<RingProducer<SlotEvent>>,
    consumer: Mutex<RingConsumer<SlotEvent>>,
}

#[pymethods]
impl P1Queue {
    /// A ring of `capacity` events.
    #[new]
    fn new(capacity: usize) -> PyResult<Self> {
        let queue = RingBuffer::new(size("capacity", capacity)?, 1, 1);
        let producer = Mutex::new(queue.producer().ok_or_else(no_end)?);
        let consumer = Mutex::new(queue.consumer().ok_or_else(no_end)?);
        Ok(Self { queue, producer, consumer })
    }

    /// Put one event; returns the number of the result.
    fn put(&self, event: &WireEvent) -> PyResult<u8> {
        let mut event = slot(event)?;
        let mut producer = lock(&self.producer);
        event.header.seq = producer.next_seq();
        Ok(producer.put(&event) as u8)
    }

    /// Take up to `max` events, oldest first.
    fn take<'py>(&self, py: Python<'py>, max: usize) -> Vec<OutRow<'py>> {
        let mut consumer = lock(&self.consumer);
        slot_rows(py, || consumer.pop(), max)
    }

    fn __len__(&self) -> usize {
        self.queue.len()
    }

    /// Let no more events in; what is in can still be taken.
    fn close(&self) {
        self.queue.close();
    }

    /// What became of the events so far.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, &self.queue.counters())
    }
}

/// P2: events of one type and scope merge.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct P2Queue {
    queue: Mutex<CollapsingQueue<HeapEvent>>,
    is_closed: AtomicBool,
}

#[pymethods]
impl P2Queue {
    /// A queue of `capacity` events.
    #[new]
    fn new(capacity: usize) -> PyResult<Self> {
        let queue = Mutex::new(CollapsingQueue::new(size("capacity", capacity)?));
        Ok(Self { queue, is_closed: AtomicBool::new(false) })
    }

    /// Put one event; returns the number of the result.
    fn put(&self, event: &WireEvent) -> PyResult<u8> {
        let event = heap(event)?;
        if self.is_closed.load(Ordering::SeqCst) {
            return Ok(PutResult::Closed as u8);
        }
        Ok(lock(&self.queue).put(event) as u8)
    }

    /// Take up to `max` events, oldest first.
    fn take<'py>(&self, py: Python<'py>, max: usize) -> Vec<OutRow<'py>> {
        let mut queue = lock(&self.queue);
        heap_rows(py, || queue.pop(), max)
    }

    fn __len__(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Let no more events in; what is in can still be taken.
    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// What became of the events so far.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, lock(&self.queue).counters())
    }
}

/// P3: sampled when it is full; events that may not be dropped bypass that, up to 4,096 of them.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct P3Queue {
    queue: Mutex<SamplingQueue<HeapEvent>>,
    is_closed: AtomicBool,
}

#[pymethods]
impl P3Queue {
    /// A queue of `capacity` events that keeps one in `period` of a type when it is full.
    #[new]
    fn new(capacity: usize, period: u32) -> PyResult<Self> {
        let queue = Mutex::new(SamplingQueue::new(size("capacity", capacity)?, period));
        Ok(Self { queue, is_closed: AtomicBool::new(false) })
    }

    /// Put one event; returns the number of the result.
    fn put(&self, event: &WireEvent) -> PyResult<u8> {
        let event = heap(event)?;
        if self.is_closed.load(Ordering::SeqCst) {
            return Ok(PutResult::Closed as u8);
        }
        Ok(lock(&self.queue).put(event) as u8)
    }

    /// Take up to `max` events, those that may not be dropped first, then oldest first.
    fn take<'py>(&self, py: Python<'py>, max: usize) -> Vec<OutRow<'py>> {
        let mut queue = lock(&self.queue);
        heap_rows(py, || queue.pop(), max)
    }

    fn __len__(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Let no more events in; what is in can still be taken.
    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// What became of the events so far.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, lock(&self.queue).counters())
    }
}
