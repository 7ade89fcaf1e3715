//! Every code that may be raised: one number, one owner, one emitter, one meaning, one effect.
//!
//! Published codes never change their meaning; codes are only added. A code without a row here cannot be raised, because
//! whoever raises one names its row.

macro_rules! text {
    ([$en:literal, $ko:literal]) => {
        $crate::safety::codes::Text { en: $en, ko: $ko }
    };
}

macro_rules! codes {
    ($(
        $code:ident $name:tt $owner:literal $emitter:literal $stage:literal $effect:ident $($level:ident)?, $origin:literal;
        trigger $trigger:tt;
        $(escalates $to:ident $when:tt;)*
        action $action:tt;
        $(release $release:tt;)?
        next $next:tt;
    )+) => {
        $(
            #[doc = concat!("The row of `", stringify!($code), "`.")]
            pub static $code: $crate::safety::codes::Code = $crate::safety::codes::Code {
                code: stringify!($code),
                name: text!($name),
                owner: $owner,
                emitter: $emitter,
                stage: $stage,
                effect: $crate::safety::codes::Effect::$effect,
                escalations: &[$($crate::safety::codes::Escalation { effect: $crate::safety::codes::Effect::$to, when: text!($when) }),*],
                level: codes!(@level $($level)?),
                trigger: text!($trigger),
                action: text!($action),
                release: codes!(@release $effect $($release)?),
                next: text!($next),
                origin: $origin,
            };
        )+
        pub(super) static ROWS: &[&$crate::safety::codes::Code] = &[$(&$code),+];
    };
    (@level) => { None };
    (@level $level:ident) => { Some($crate::safety::codes::Level::$level) };
    (@release Note) => { $crate::safety::codes::NONE_NEEDED };
    (@release $effect:ident) => { $crate::safety::codes::MEANING_GONE };
    (@release $effect:ident $release:tt) => { text!($release) };
}

mod anomaly;
mod failsafe;
mod gate;
mod guardrail;
mod guardrail_rooms;
mod lockdown;
mod registry;
mod registry_data;

pub use anomaly::*;
pub use failsafe::*;
pub use gate::*;
pub use guardrail::*;
pub use guardrail_rooms::*;
pub use lockdown::{LOCKDOWN, LockdownRow};
pub use registry::*;
pub use registry_data::*;

/// A text in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

/// What a code does to the safety state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing: it is recorded and told.
    Note,
    /// At least WARNING.
    Warn,
    /// At least FAIL; counts towards LOCKDOWN.
    Fail,
    /// LOCKDOWN.
    Lockdown,
}

impl Effect {
    /// The name of the effect.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "NOTE",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Lockdown => "LOCKDOWN",
        }
    }
}

/// How loud a guardrail is, or how much an anomaly weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Level {
    Info,
    Warning,
    Low,
    Medium,
    High,
}

impl Level {
    /// The name of the level.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
        }
    }
}

/// A stronger effect, and when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// The effect.
    pub effect: Effect,
    /// When.
    pub when: Text,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// What is raised.
    pub code: &'static str,
    /// What it is called.
    pub name: Text,
    /// Number of the document that owns it.
    pub owner: &'static str,
    /// The only component that raises it.
    pub emitter: &'static str,
    /// Where in the engine that stands.
    pub stage: &'static str,
    /// What it does to the safety state when it is raised.
    pub effect: Effect,
    /// What it does when it lasts or comes again.
    pub escalations: &'static [Escalation],
    /// For a guardrail INFO or WARNING, for an anomaly LOW, MEDIUM or HIGH.
    pub level: Option<Level>,
    /// When it is raised, with the defaults of the configuration.
    pub trigger: Text,
    /// What the engine does: for a guardrail, what becomes of the order.
    pub action: Text,
    /// What has to hold before a release.
    pub release: Text,
    /// What the operator does next.
    pub next: Text,
    /// Where it comes from: numbers of design documents, S a seed, E an earlier build, R a choice of this project.
    pub origin: &'static str,
}

impl Code {
    /// Whether it counts: a fail-safe of effect FAIL towards LOCKDOWN, a guardrail that blocked or cut an order towards
    /// WARNING.
    pub fn is_counted(&self) -> bool {
        match self.code.as_bytes() {
            [b'F', b'S', ..] => {
                self.effect == Effect::Fail || self.escalations.iter().any(|step| step.effect == Effect::Fail)
            }
            // An outage of storage, cache or feedback never raises the state by repetition.
            [b'G', b'R', ..] => {
                self.level == Some(Level::Warning) && !matches!(self.owner, "18b" | "19" | "20")
            }
            _ => false,
        }
    }
}

/// All rows, by code within each family.
pub fn all() -> impl Iterator<Item = &'static Code> {
    [
        failsafe::ROWS,
        registry::ROWS,
        registry_data::ROWS,
        guardrail::ROWS,
        guardrail_rooms::ROWS,
        anomaly::ROWS,
        gate::ROWS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The row of a code.
pub fn lookup(code: &str) -> Option<&'static Code> {
    all().find(|row| row.code == code)
}

/// The release check of a code whose owner asks for nothing more.
const MEANING_GONE: Text = text!(["the cause is gone", "원인이 사라졌음"]);
/// The release check of what never changes the state.
const NONE_NEEDED: Text = text!(["none: it ends with its condition", "불필요: 조건이 끝나면 함께 해제"]);
