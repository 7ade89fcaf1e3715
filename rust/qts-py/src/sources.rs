//! Inputs of an engine, and the generator behind sample data.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use qts_core::event::MarketRecord;
use qts_core::fixed::{Price, Qty};
use qts_core::instrument::{Dated, InstrumentTable};
use qts_core::market::source::{MarketSource, SourceError};
use qts_core::sim::bridge::Bridge;
use qts_core::sim::synth::{SynthConfig, SynthDaily, SynthMarket, SynthSession, SynthSymbol};
use qts_core::wire::csv::{DAILY_BAR_HEADER, TICK_HEADER, write_bar_row, write_tick_row};
use qts_io::{BarFile, FeedStats, Session, Sessions, TickFile, TickReader};

use crate::errors;
use crate::instruments::Instruments;

/// Korean time is UTC+9 all year.
const SEOUL_OFFSET_S: i32 = 9 * 3_600;

/// One input: what it has delivered, and the source until the engine takes it.
pub(crate) struct Input {
    stats: Stats,
    source: Option<Exclusive>,
}

/// A source that only its owner reaches. Python objects have to be shareable between threads and sources are not; the
/// lock makes them so and is never taken, because an owner needs none.
pub(crate) struct Exclusive(Mutex<Box<dyn MarketSource + Send>>);

impl Exclusive {
    pub(crate) fn new(source: Box<dyn MarketSource + Send>) -> Self {
        Self(Mutex::new(source))
    }

    fn into_inner(self) -> Box<dyn MarketSource + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MarketSource for Exclusive {
    #[inline]
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).next()
    }
}

enum Stats {
    Feed(Arc<FeedStats>),
    /// A generated session has no file: its rows are the records that the engine has handled.
    Synthetic,
}

impl Input {
    fn new(stats: Arc<FeedStats>, source: impl MarketSource + Send + 'static) -> Self {
        Self { stats: Stats::Feed(stats), source: Some(Exclusive::new(Box::new(source))) }
    }

    pub(crate) fn ticks(path: &str, table: &InstrumentTable, skip_bad_rows: bool) -> PyResult<Self> {
        let file = TickFile::open(path, table, skip_bad_rows).map_err(errors::source)?;
        Ok(Self::new(file.stats(), file))
    }

    pub(crate) fn bars(
        path: &str,
        table: &InstrumentTable,
        sessions: &[(i64, u32, u32)],
        skip_bad_rows: bool,
        bridge: Option<(u64, u32)>,
    ) -> PyResult<Self> {
        let bridge =
            bridge.map(|(seed, prints)| Bridge::new(seed, prints)).transpose().map_err(errors::value)?;
        let mut file = BarFile::open(path, table, hours(sessions)?, skip_bad_rows).map_err(errors::source)?;
        if let Some(bridge) = bridge {
            file = file.bridged(bridge, table);
        }
        Ok(Self::new(file.stats(), file))
    }

    pub(crate) fn chunks(
        name: &str,
        chunks: Py<PyAny>,
        table: &InstrumentTable,
        skip_bad_rows: bool,
    ) -> PyResult<Self> {
        let input = Chunks { iterator: chunks, chunk: None, taken: 0 };
        let reader = TickReader::new(name, input, table, skip_bad_rows).map_err(errors::source)?;
        Ok(Self::new(reader.stats(), reader))
    }

    pub(crate) fn synthetic(config: &Bound<'_, PyDict>, table: &InstrumentTable) -> PyResult<Self> {
        let market = synth_market(config, table)?;
        Ok(Self { stats: Stats::Synthetic, source: Some(Exclusive::new(Box::new(market))) })
    }

    pub(crate) fn take_source(&mut self) -> Option<Box<dyn MarketSource + Send>> {
        self.source.take().map(Exclusive::into_inner)
    }

    pub(crate) fn describe<'py>(&self, py: Python<'py>, records: u64) -> PyResult<Bound<'py, PyDict>> {
        let row = PyDict::new(py);
        match &self.stats {
            Stats::Feed(stats) => {
                row.set_item("path", stats.path())?;
                row.set_item("rows", stats.rows())?;
                row.set_item("bad_rows", stats.bad_rows())?;
                row.set_item("first_ts_ns", stats.first_ts_ns())?;
                row.set_item("last_ts_ns", stats.last_ts_ns())?;
                let samples: Vec<String> =
                    stats.bad_row_samples().iter().map(SourceError::to_string).collect();
                row.set_item("bad_row_samples", samples)?;
            }
            Stats::Synthetic => {
                row.set_item("path", "synthetic session")?;
                row.set_item("rows", records)?;
                row.set_item("first_ts_ns", py.None())?;
                row.set_item("last_ts_ns", py.None())?;
                row.set_item("bad_rows", 0)?;
                row.set_item("bad_row_samples", Vec::<String>::new())?;
            }
        }
        Ok(row)
    }
}

/// Text that a Python iterator of byte strings gives in pieces. Read only on the thread that runs the engine.
struct Chunks {
    iterator: Py<PyAny>,
    chunk: Option<PyBackedBytes>,
    taken: usize,
}

impl Chunks {
    fn next_chunk(&self) -> io::Result<Option<PyBackedBytes>> {
        Python::attach(|py| {
            let next = self.iterator.bind(py).try_iter().and_then(|mut iterator| iterator.next().transpose());
            next.and_then(|chunk| chunk.map(|chunk| chunk.extract().map_err(PyErr::from)).transpose())
                .map_err(|error| io::Error::other(error.to_string()))
        })
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.chunk {
                let rest = chunk.get(self.taken..).unwrap_or(&[]);
                let len = rest.len().min(buffer.len());
                if let (Some(target), Some(source)) = (buffer.get_mut(..len), rest.get(..len))
                    && len > 0
                {
                    target.copy_from_slice(source);
                    self.taken = self.taken.saturating_add(len);
                    return Ok(len);
                }
            }
            self.taken = 0;
            self.chunk = self.next_chunk()?;
            if self.chunk.is_none() {
                return Ok(0);
            }
        }
    }
}

/// Trading hours in Korean time from (effective_from_ns, open_s, close_s).
fn hours(rows: &[(i64, u32, u32)]) -> PyResult<Sessions> {
    let rows = rows
        .iter()
        .map(|&(effective_from_ns, open_s, close_s)| Dated {
            effective_from_ns,
            value: Session { open_s, close_s },
        })
        .collect();
    Sessions::new(rows, SEOUL_OFFSET_S).map_err(errors::value)
}

fn part<'py, T: FromPyObjectOwned<'py>>(config: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = config
        .get_item(name)?
        .ok_or_else(|| errors::value(format!("configuration of the synthetic market lacks {name:?}")))?;
    value.extract().map_err(Into::into)
}

fn synth_symbol(row: &Bound<'_, PyDict>, table: &InstrumentTable) -> PyResult<SynthSymbol> {
    let symbol: String = part(row, "symbol")?;
    let instrument = table
        .find(&symbol)
        .ok_or_else(|| errors::value(format!("symbol {symbol:?} is not in the instrument table")))?;
    Ok(SynthSymbol {
        instrument,
        base_price: Price(part(row, "base_price")?),
        daily_volume: Qty(part(row, "daily_volume")?),
        daily_events: part(row, "daily_events")?,
        annual_vol_ppm: part(row, "annual_vol_ppm")?,
    })
}

/// A synthetic market from `seed`, `sessions` (open, end of continuous trading, close) and `symbols`.
pub(crate) fn synth_market(config: &Bound<'_, PyDict>, table: &InstrumentTable) -> PyResult<SynthMarket> {
    let sessions: Vec<(i64, i64, i64)> = part(config, "sessions")?;
    let symbols: Vec<Bound<'_, PyDict>> = part(config, "symbols")?;
    let config = SynthConfig {
        seed: part(config, "seed")?,
        sessions: sessions
            .into_iter()
            .map(|(open_ns, continuous_end_ns, close_ns)| SynthSession {
                open_ns,
                continuous_end_ns,
                close_ns,
            })
            .collect(),
        symbols: symbols.iter().map(|row| synth_symbol(row, table)).collect::<PyResult<_>>()?,
    };
    SynthMarket::new(table, &config).map_err(errors::value)
}

enum Rows {
    Ticks(SynthMarket),
    Daily(SynthDaily),
}

/// Generated rows as CSV text in chunks, header first.
#[pyclass(module = "qts._core")]
pub(crate) struct CsvStream {
    rows: Rows,
    table: Arc<InstrumentTable>,
    header: Option<&'static str>,
}

impl CsvStream {
    /// Appends the next row to `out`; false at the end.
    fn write_row(&mut self, out: &mut Vec<u8>) -> PyResult<bool> {
        match &mut self.rows {
            Rows::Ticks(market) => {
                let Some(record) = market.next_record() else { return Ok(false) };
                write_tick_row(&record, &self.table, out).map_err(errors::value)?;
            }
            Rows::Daily(days) => {
                let Some(row) = days.next() else { return Ok(false) };
                write_bar_row(&row, &self.table, out).map_err(errors::value)?;
            }
        }
        Ok(true)
    }
}

#[pymethods]
impl CsvStream {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next chunk of about 64 KiB; ends with the last row.
    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        const CHUNK_BYTES: usize = 64 * 1024;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES.saturating_add(256));
        if let Some(header) = self.header.take() {
            chunk.extend_from_slice(header.as_bytes());
        }
        while chunk.len() < CHUNK_BYTES && self.write_row(&mut chunk)? {}
        Ok((!chunk.is_empty()).then(|| PyBytes::new(py, &chunk)))
    }
}

/// Tick rows of a synthetic market as CSV text.
#[pyfunction]
pub(crate) fn synth_ticks_csv(
    instruments: PyRef<'_, Instruments>,
    config: &Bound<'_, PyDict>,
) -> PyResult<CsvStream> {
    let table = instruments.shared();
    let rows = Rows::Ticks(synth_market(config, &table)?);
    Ok(CsvStream { rows, table, header: Some(TICK_HEADER) })
}

/// Daily bars of a synthetic market as CSV text.
#[pyfunction]
pub(crate) fn synth_daily_csv(
    instruments: PyRef<'_, Instruments>,
    config: &Bound<'_, PyDict>,
) -> PyResult<CsvStream> {
    let table = instruments.shared();
    let rows = Rows::Daily(SynthDaily::new(synth_market(config, &table)?, SEOUL_OFFSET_S));
    Ok(CsvStream { rows, table, header: Some(DAILY_BAR_HEADER) })
}
