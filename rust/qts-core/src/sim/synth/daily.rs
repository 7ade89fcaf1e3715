//! Daily bars of a synthetic market.

use super::SynthMarket;
use crate::event::{MarketRecord, TickKind};
use crate::wire::csv::{BarRow, BarTime};

const DAY_S: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// The sessions of a market as daily bars: by session, and within it in the order of the symbols.
///
/// A bar needs few arrivals: with some hundred daily events per symbol a year of bars takes a moment.
#[derive(Debug)]
pub struct SynthDaily {
    market: SynthMarket,
    utc_offset_s: i32,
    /// Bars in the making, with the number of auctions seen, in order of appearance.
    bars: Vec<(BarRow, u32)>,
}

impl SynthDaily {
    /// The bars of `market`; their dates are in a local time `utc_offset_s` seconds east of UTC (Seoul: 32,400).
    pub const fn new(market: SynthMarket, utc_offset_s: i32) -> Self {
        Self { market, utc_offset_s, bars: Vec::new() }
    }

    fn start(&self, record: &MarketRecord) -> BarRow {
        let local_s = record.ts_recv_ns.div_euclid(SECOND_NS).saturating_add(i64::from(self.utc_offset_s));
        BarRow {
            time: BarTime::Day(i32::try_from(local_s.div_euclid(DAY_S)).unwrap_or(i32::MAX)),
            instrument: record.instrument,
            open: record.price,
            high: record.price,
            low: record.price,
            close: record.price,
            volume: record.qty,
        }
    }

    /// Takes a print into its bar; a closing auction gives the finished bar.
    fn take(&mut self, record: &MarketRecord) -> Option<BarRow> {
        let at = self.bars.iter().position(|(bar, _)| bar.instrument == record.instrument);
        let Some((bar, auctions)) = at.and_then(|at| self.bars.get_mut(at)) else {
            self.bars.push((self.start(record), 1));
            return None;
        };
        bar.high = bar.high.max(record.price);
        bar.low = bar.low.min(record.price);
        bar.close = record.price;
        bar.volume.0 = bar.volume.0.saturating_add(record.qty.0);
        if record.kind == TickKind::Auction {
            *auctions = auctions.saturating_add(1);
        }
        (*auctions == 2).then(|| self.bars.remove(at.unwrap_or(0)).0)
    }
}

impl Iterator for SynthDaily {
    type Item = BarRow;

    fn next(&mut self) -> Option<BarRow> {
        loop {
            let record = self.market.next_record()?;
            if record.kind != TickKind::Quote
                && let Some(bar) = self.take(&record)
            {
                return Some(bar);
            }
        }
    }
}
