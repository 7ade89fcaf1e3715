//! Events as they cross the border: numbers and byte strings in both directions.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use qts_core::dispatch::live::{Header, HeapEvent, SlotEvent};
use qts_core::event::{EventPriority, EventType, Source};

use crate::errors;

/// Kind, source, sequence number, `ts_ns`, `t_enqueue_ns`, id, scope, merged, weight, payload, symbols.
pub(crate) type OutRow<'py> = (
    u8,
    u8,
    u64,
    i64,
    u64,
    Bound<'py, PyBytes>,
    Bound<'py, PyString>,
    u32,
    u32,
    Bound<'py, PyBytes>,
    Vec<String>,
);

/// An event that is about to enter its level.
#[derive(Clone)]
pub(crate) enum Carried {
    Slot(EventPriority, SlotEvent),
    Heap(HeapEvent),
}

impl Carried {
    /// The event, if it is of P1.
    pub(crate) fn p1(&self) -> Option<&SlotEvent> {
        match self {
            Self::Slot(EventPriority::P1High, event) => Some(event),
            _ => None,
        }
    }
}

/// The type of that number.
pub(crate) fn kind(number: u8) -> PyResult<EventType> {
    EventType::ALL.get(usize::from(number)).copied().ok_or_else(|| {
        errors::value(format!("event type number {number}; expected less than {}", EventType::ALL.len()))
    })
}

/// The source of that number.
pub(crate) fn source(number: u8) -> PyResult<Source> {
    Source::ALL.get(usize::from(number)).copied().ok_or_else(|| {
        errors::value(format!("source number {number}; expected less than {}", Source::ALL.len()))
    })
}

/// A 128-bit identity from its bytes, the most significant first; empty = none.
pub(crate) fn identity(name: &str, bytes: &[u8]) -> PyResult<u128> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| errors::value(format!("{name} has {} bytes; expected 16 or none", bytes.len())))?;
    Ok(u128::from_be_bytes(bytes))
}

/// An event that has been checked and is ready to enter its level, as often as one likes.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct WireEvent(pub(crate) Carried);

#[pymethods]
impl WireEvent {
    /// An event from its parts; `ValueError` for numbers that do not exist and payloads that are too long.
    #[new]
    #[allow(clippy::too_many_arguments, reason = "a structure would have to be taken apart here")]
    fn new(
        kind: u8,
        source: u8,
        id: &[u8],
        correlation: &[u8],
        ts_ns: i64,
        scope: &str,
        shard: u16,
        payload: &[u8],
        symbols: Option<Vec<Bound<'_, PyString>>>,
        can_drop: bool,
    ) -> PyResult<Self> {
        let kind = self::kind(kind)?;
        let header = Header {
            id: identity("id", id)?,
            correlation: identity("correlation", correlation)?,
            ts_ns,
            ..Header::new(kind, self::source(source)?)
        };
        let level = kind.priority();
        if level <= EventPriority::P1High {
            let event = SlotEvent::new(header, shard, payload).map_err(errors::value)?;
            return Ok(Self(Carried::Slot(level, event)));
        }
        let mut event = HeapEvent::new(header, scope, payload, can_drop).map_err(errors::value)?;
        if let Some(symbols) = symbols {
            event.symbols =
                symbols.iter().map(|symbol| Ok(symbol.to_str()?.into())).collect::<PyResult<_>>()?;
        }
        Ok(Self(Carried::Heap(event)))
    }
}

/// An event of P0 or P1 as Python gets it.
pub(crate) fn slot_row<'py>(py: Python<'py>, header: &Header, payload: &[u8]) -> OutRow<'py> {
    row(py, header, "", (0, 1), payload, Vec::new())
}

/// An event of P2 or P3 as Python gets it.
pub(crate) fn heap_row<'py>(py: Python<'py>, event: &HeapEvent) -> OutRow<'py> {
    let symbols = event.symbols.iter().map(ToString::to_string).collect();
    row(py, &event.header, &event.scope, (event.merged_count, event.sampled_weight), &event.payload, symbols)
}

fn row<'py>(
    py: Python<'py>,
    header: &Header,
    scope: &str,
    (merged_count, sampled_weight): (u32, u32),
    payload: &[u8],
    symbols: Vec<String>,
) -> OutRow<'py> {
    (
        header.kind as u8,
        source_number(header.source),
        header.seq,
        header.ts_ns,
        header.t_enqueue_ns,
        PyBytes::new(py, &header.id.to_be_bytes()),
        PyString::new(py, scope),
        merged_count,
        sampled_weight,
        PyBytes::new(py, payload),
        symbols,
    )
}

/// Number of a source.
#[allow(clippy::cast_possible_truncation, reason = "there are 15")]
pub(crate) const fn source_number(source: Source) -> u8 {
    source as u16 as u8
}
