//! The instrument table as Python sees it.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::event::Side;
use qts_core::fixed::{Money, Price, Qty, Rate, Scale};
use qts_core::instrument::{
    CostRates, Dated, Instrument, InstrumentId, InstrumentSpec, InstrumentTable, TickBand,
};

use crate::errors;

/// Checked number of decimals.
pub(crate) fn scale(value: u8) -> PyResult<Scale> {
    Scale::new(value).map_err(errors::fixed)
}

/// Side from its name.
pub(crate) fn side(name: &str) -> PyResult<Side> {
    match name {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        other => Err(errors::value(format!("side is {other:?}; expected 'BUY' or 'SELL'"))),
    }
}

/// Every instrument of a run, by dense id. Prices, quantities and money are integers in the instrument's scales.
#[pyclass(module = "qts._core")]
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    table: Arc<InstrumentTable>,
}

impl Instruments {
    pub(crate) fn shared(&self) -> Arc<InstrumentTable> {
        Arc::clone(&self.table)
    }

    fn instrument(&self, id: u32) -> PyResult<&Instrument> {
        self.table
            .get(InstrumentId(id))
            .ok_or_else(|| errors::value(format!("instrument id {id} is not one of {}", self.table.len())))
    }
}

fn field<'py, T: FromPyObjectOwned<'py>>(spec: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value =
        spec.get_item(name)?.ok_or_else(|| errors::value(format!("instrument spec lacks {name:?}")))?;
    value.extract().map_err(Into::into)
}

type LadderRow = (i64, Vec<(i64, i64)>);
type CostRow = (i64, i64, i64, i64);
type LimitRow = (i64, Option<i64>);

#[pymethods]
impl Instruments {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Add an instrument and return its id.
    fn add(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<u32> {
        let ladder: Vec<LadderRow> = field(spec, "ladder")?;
        let costs: Vec<CostRow> = field(spec, "costs")?;
        let limits: Vec<LimitRow> = field(spec, "limit_rate")?;
        let instrument = Instrument::new(InstrumentSpec {
            symbol: field(spec, "symbol")?,
            currency: field(spec, "currency")?,
            price_scale: scale(field(spec, "price_scale")?)?,
            qty_scale: scale(field(spec, "qty_scale")?)?,
            money_scale: scale(field(spec, "money_scale")?)?,
            lot: Qty(field(spec, "lot")?),
            price_increment: Price(field(spec, "price_increment")?),
            ladder: ladder
                .into_iter()
                .map(|(effective_from_ns, bands)| Dated {
                    effective_from_ns,
                    value: bands
                        .into_iter()
                        .map(|(from, tick)| TickBand { from: Price(from), tick: Price(tick) })
                        .collect(),
                })
                .collect(),
            costs: costs
                .into_iter()
                .map(|(effective_from_ns, buy_fee, sell_fee, sell_tax)| Dated {
                    effective_from_ns,
                    value: CostRates {
                        buy_fee: Rate(buy_fee),
                        sell_fee: Rate(sell_fee),
                        sell_tax: Rate(sell_tax),
                    },
                })
                .collect(),
            limit_rate: limits
                .into_iter()
                .map(|(effective_from_ns, rate)| Dated { effective_from_ns, value: rate.map(Rate) })
                .collect(),
        })
        .map_err(errors::value)?;
        let table = Arc::get_mut(&mut self.table)
            .ok_or_else(|| errors::value("the table is in use by an engine and can no longer change"))?;
        Ok(table.push(instrument).map_err(errors::value)?.0)
    }

    fn __len__(&self) -> usize {
        self.table.len()
    }

    /// Id of `symbol`, or None.
    fn find(&self, symbol: &str) -> Option<u32> {
        self.table.find(symbol).map(|id| id.0)
    }

    /// Symbol of `instrument`.
    fn symbol(&self, instrument: u32) -> PyResult<&str> {
        Ok(self.instrument(instrument)?.symbol())
    }

    /// Tick size that binds an order at `price` at that time.
    fn tick_size(&self, instrument: u32, price: i64, ts_ns: i64) -> PyResult<i64> {
        Ok(self.instrument(instrument)?.tick_at(Price(price), ts_ns).0)
    }

    /// `price` rounded down to the ladder.
    fn floor_to_tick(&self, instrument: u32, price: i64, ts_ns: i64) -> PyResult<i64> {
        Ok(self.instrument(instrument)?.floor_to_tick(Price(price), ts_ns).0)
    }

    /// `price` rounded up to the ladder.
    fn ceil_to_tick(&self, instrument: u32, price: i64, ts_ns: i64) -> PyResult<i64> {
        Ok(self.instrument(instrument)?.ceil_to_tick(Price(price), ts_ns).0)
    }

    /// `price` moved by `ticks` steps of the ladder; each step uses the tick of the band it lands in.
    fn step(&self, instrument: u32, price: i64, ticks: i32, ts_ns: i64) -> PyResult<i64> {
        let moved = self.instrument(instrument)?.step(Price(price), ticks, ts_ns);
        Ok(moved.map_err(errors::value)?.0)
    }

    /// Lower and upper limit price of a day with this base price, or None where no limit binds.
    fn price_limits(&self, instrument: u32, base: i64, ts_ns: i64) -> PyResult<Option<(i64, i64)>> {
        let limits = self.instrument(instrument)?.price_limits(Price(base), ts_ns);
        Ok(limits.map(|(lower, upper)| (lower.0, upper.0)))
    }

    /// Price times quantity in money units, exact.
    fn amount(&self, instrument: u32, price: i64, qty: i64) -> PyResult<i64> {
        Ok(self.instrument(instrument)?.amount(Price(price), Qty(qty)).map_err(errors::value)?.0)
    }

    /// Commission on `amount` at that time, truncated as booked.
    fn fee(&self, instrument: u32, side: &str, amount: i64, ts_ns: i64) -> PyResult<i64> {
        let side = self::side(side)?;
        Ok(self.instrument(instrument)?.fee(side, Money(amount), ts_ns).map_err(errors::value)?.0)
    }

    /// Transaction tax on `amount` at that time, truncated as booked; zero for purchases.
    fn tax(&self, instrument: u32, side: &str, amount: i64, ts_ns: i64) -> PyResult<i64> {
        let side = self::side(side)?;
        Ok(self.instrument(instrument)?.tax(side, Money(amount), ts_ns).map_err(errors::value)?.0)
    }
}
