//! Instruments of which no entries are taken.

use crate::instrument::InstrumentId;

/// Reasons by instrument; few, so that a look through them is the quickest there is.
#[derive(Debug)]
pub(super) struct Blocks(Vec<Vec<Box<str>>>);

impl Blocks {
    pub(super) fn new(instruments: usize) -> Self {
        Self((0..instruments).map(|_| Vec::new()).collect())
    }

    fn row(&self, instrument: InstrumentId) -> &[Box<str>] {
        usize::try_from(instrument.0).ok().and_then(|at| self.0.get(at)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn freeze(&mut self, instrument: InstrumentId, reason: &str, is_frozen: bool) {
        let Some(row) = usize::try_from(instrument.0).ok().and_then(|at| self.0.get_mut(at)) else { return };
        row.retain(|known| **known != *reason);
        if is_frozen {
            row.push(reason.into());
        }
    }

    #[inline]
    pub(super) fn is_frozen(&self, instrument: InstrumentId) -> bool {
        !self.row(instrument).is_empty()
    }

    pub(super) fn reasons(&self, instrument: InstrumentId) -> impl Iterator<Item = &str> {
        self.row(instrument).iter().map(|reason| &**reason)
    }
}
