//! The safety word and the table of codes.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::safety::codes::{self, Code, Text};
use qts_core::safety::{ActionClass, Flags, ProtectiveExits, Raise, ReleaseError, SafetyWord as Word, State};

use crate::errors;

/// Name and number of each class of action.
pub(crate) fn action_classes() -> [(&'static str, u8); ActionClass::ALL.len()] {
    ActionClass::ALL.map(|action| (action.name(), action as u8))
}

/// Name and number of each safety state.
pub(crate) fn states() -> [(&'static str, u8); State::ALL.len()] {
    State::ALL.map(|state| (state.name(), state as u8))
}

/// Name and mask of each flag.
pub(crate) fn flags() -> [(&'static str, u64); Flags::NAMES.len()] {
    Flags::NAMES.map(|(name, flag)| (name, flag.bits()))
}

/// Names of the settings of `lockdown.protective_exits`.
pub(crate) fn protective_exits() -> [&'static str; ProtectiveExits::ALL.len()] {
    ProtectiveExits::ALL.map(ProtectiveExits::name)
}

fn state(number: u8) -> PyResult<State> {
    State::from_number(number).ok_or_else(|| errors::value(format!("safety state {number}; expected 0 to 3")))
}

fn mask(bits: u64) -> PyResult<Flags> {
    Flags::from_bits(bits)
        .ok_or_else(|| errors::value(format!("flags {bits:#x}; expected masks of SAFETY_FLAGS only")))
}

/// The word that every order is held against. No method waits; all may be called from any thread.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct SafetyWord {
    pub(crate) word: Arc<Word>,
}

#[pymethods]
impl SafetyWord {
    /// A word in NORMAL without flags.
    #[new]
    #[pyo3(signature = (protective_exits = "TRUSTED_ONLY"))]
    fn new(protective_exits: &str) -> PyResult<Self> {
        let exits = ProtectiveExits::ALL.into_iter().find(|exits| exits.name() == protective_exits);
        let exits = exits.ok_or_else(|| {
            let names = self::protective_exits().join(", ");
            errors::value(format!("protective exits {protective_exits:?}; expected one of {names}"))
        })?;
        Ok(Self { word: Arc::new(Word::new(exits)) })
    }

    /// Number of the state.
    #[getter]
    fn state(&self) -> u8 {
        self.word.state() as u8
    }

    /// The whole word, to be handed back to `release` or `clear_flags`.
    #[getter]
    fn value(&self) -> u64 {
        self.word.value()
    }

    /// The flags that are set.
    #[getter]
    fn flags(&self) -> u64 {
        self.word.flags().bits()
    }

    /// Engaged level of the kill switch, 0 to 3.
    #[getter]
    fn kill_level(&self) -> u32 {
        (self.word.flags().bits() & Flags::KILL_FLATTEN.bits()).count_ones()
    }

    /// How many raises were counted without being kept.
    #[getter]
    fn raises_lost(&self) -> u64 {
        self.word.raises_lost()
    }

    /// Raise the state to at least `state`; whether it changed.
    #[pyo3(signature = (state, code, at_ns))]
    fn raise_state(&self, state: u8, code: &str, at_ns: u64) -> PyResult<bool> {
        let to = self::state(state)?;
        if to == State::Normal {
            return Err(errors::value("safety state 0 (NORMAL) cannot be raised to; expected 1 to 3"));
        }
        let row = codes::lookup(code)
            .ok_or_else(|| errors::value(format!("code {code:?} is not in the table of codes")))?;
        Ok(self.word.raise(to, Flags::NONE, row, at_ns))
    }

    /// Raise the state to at least `state` for one who records it himself: no raise is kept; whether it changed.
    fn strengthen(&self, state: u8) -> PyResult<bool> {
        Ok(self.word.strengthen(self::state(state)?))
    }

    /// Number of the last raise when they were taken last, those that were not kept among them.
    #[getter]
    fn taken_seq(&self) -> u64 {
        self.word.taken_seq()
    }

    /// Lower the state from what was seen to `to_state`; whether that happened.
    fn release(&self, seen: u64, to_state: u8) -> PyResult<bool> {
        done(self.word.release(seen, state(to_state)?))
    }

    /// Set flags; whether one of them was not set before.
    fn set_flags(&self, mask: u64) -> PyResult<bool> {
        Ok(self.word.set_flags(self::mask(mask)?))
    }

    /// Clear flags from what was seen; whether that happened.
    fn clear_flags(&self, seen: u64, mask: u64) -> PyResult<bool> {
        done(self.word.clear_flags(seen, self::mask(mask)?))
    }

    /// Whether the class of action of this number is permitted now.
    fn permits(&self, action: u8) -> PyResult<bool> {
        let class = ActionClass::from_number(action);
        class.map(|class| self.word.permits(class)).ok_or_else(|| {
            errors::value(format!(
                "action class {action}; expected 0 to {}",
                ActionClass::ALL.len().saturating_sub(1)
            ))
        })
    }

    /// The raises since this was asked last, oldest first.
    fn take_raises(&self) -> Vec<(&'static str, u8, u8, u64, u64)> {
        let raises = self.word.take_raises();
        let row = |raise: &Raise| (raise.code.code, raise.from as u8, raise.to as u8, raise.at_ns, raise.seq);
        raises.iter().map(row).collect()
    }
}

fn done(released: Result<(), ReleaseError>) -> PyResult<bool> {
    match released {
        Ok(()) => Ok(true),
        Err(ReleaseError::Changed | ReleaseError::Unheard) => Ok(false),
        Err(error @ (ReleaseError::KillEngaged | ReleaseError::NotLower)) => Err(errors::value(error)),
    }
}

/// Every row of the table of codes.
#[pyfunction]
pub(crate) fn code_table(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    codes::all().map(|row| code_row(py, row)).collect()
}

fn code_row<'py>(py: Python<'py>, row: &Code) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let both = |text: Text| (text.en, text.ko);
    dict.set_item("code", row.code)?;
    dict.set_item("name", both(row.name))?;
    dict.set_item("owner", row.owner)?;
    dict.set_item("emitter", row.emitter)?;
    dict.set_item("stage", row.stage)?;
    dict.set_item("effect", row.effect.name())?;
    let steps: Vec<_> = row.escalations.iter().map(|step| (step.effect.name(), both(step.when))).collect();
    dict.set_item("escalations", steps)?;
    dict.set_item("level", row.level.map(codes::Level::name))?;
    dict.set_item("counted", row.is_counted())?;
    dict.set_item("trigger", both(row.trigger))?;
    dict.set_item("action", both(row.action))?;
    dict.set_item("release", both(row.release))?;
    dict.set_item("next", both(row.next))?;
    dict.set_item("origin", row.origin)?;
    Ok(dict)
}

/// What each room does in LOCKDOWN.
#[pyfunction]
pub(crate) fn lockdown_table(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let rows = codes::LOCKDOWN.iter();
    rows.map(|row| {
        let dict = PyDict::new(py);
        dict.set_item("room", (row.room.en, row.room.ko))?;
        dict.set_item("owner", row.owner)?;
        dict.set_item("code", row.code.map(|code| code.code))?;
        dict.set_item("does", (row.does.en, row.does.ko))?;
        Ok(dict)
    })
    .collect()
}
