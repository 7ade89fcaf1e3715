//! The permission matrix: which class of action the safety word permits.
//!
//! The low [`OPERAND_BITS`] of the word are all that the matrix depends on, so that it is written once, as a function
//! ([`allowed`]), and asked as a table.

/// How far trust is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// All checks pass.
    Normal = 0,
    /// An irregularity, no loss of trust.
    Warning = 1,
    /// A fault made the next decision untrustworthy.
    Fail = 2,
    /// Repeated faults, or an explicit kill.
    Lockdown = 3,
}

impl State {
    /// All states, weakest first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Warning, Self::Fail, Self::Lockdown];

    /// The state of a number, if it is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Warning => "WARNING",
            Self::Fail => "FAIL",
            Self::Lockdown => "LOCKDOWN",
        }
    }
}

/// What may reduce a position in LOCKDOWN (`lockdown.protective_exits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ProtectiveExits {
    /// Exits that pass every check of [`ActionClass::TrustedExit`], and the kill plan.
    #[default]
    TrustedOnly = 0b00,
    /// The kill plan only.
    KillPlanOnly = 0b01,
    /// Nothing new: what is in flight runs to its end, and an operator acts.
    None = 0b11,
}

impl ProtectiveExits {
    /// All settings.
    pub const ALL: [Self; 3] = [Self::TrustedOnly, Self::KillPlanOnly, Self::None];

    /// The name of the setting in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TrustedOnly => "TRUSTED_ONLY",
            Self::KillPlanOnly => "KILL_PLAN_ONLY",
            Self::None => "NONE",
        }
    }
}

const STATE: u64 = 0b11;
const EXITS_SHIFT: u32 = 10;
const OPERAND_BITS: u32 = 12;
const OPERANDS: usize = 1 << OPERAND_BITS;
/// The bits of the word that the matrix depends on.
pub(super) const OPERAND_MASK: u64 = (1 << OPERAND_BITS) - 1;

/// What is set beside the state. A kill level holds the bits of those below it, so that setting one never lowers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u64);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// K1: no new cycle, no entry.
    pub const KILL_HALT: Self = Self(0b001 << 2);
    /// K2: K1, and every working order is cancelled.
    pub const KILL_CANCEL: Self = Self(0b011 << 2);
    /// K3: K2, and every position is closed by the kill plan.
    pub const KILL_FLATTEN: Self = Self(0b111 << 2);
    /// Decisions are made and not sent.
    pub const SAFE_MODE: Self = Self(1 << 5);
    /// No order at all leaves, protective exits included; cancels do.
    pub const HALT_ALL: Self = Self(1 << 6);
    /// No cycle starts, and no order of a strategy leaves.
    pub const ETEDA_SUSPENDED: Self = Self(1 << 7);
    /// No entry leaves.
    pub const ENTRIES_BLOCKED: Self = Self(1 << 8);
    /// The order journal takes no records (FS063): nothing but emergency exits and cancels leaves.
    pub const JOURNAL_FAILED: Self = Self(1 << 9);
    /// Every flag.
    pub const ALL: Self = Self(0b1111_1111 << 2);

    /// Flags by name, for those who set them from outside.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("KILL_K1", Self::KILL_HALT),
        ("KILL_K2", Self::KILL_CANCEL),
        ("KILL_K3", Self::KILL_FLATTEN),
        ("SAFE_MODE", Self::SAFE_MODE),
        ("HALT_ALL", Self::HALT_ALL),
        ("ETEDA_SUSPENDED", Self::ETEDA_SUSPENDED),
        ("ENTRIES_BLOCKED", Self::ENTRIES_BLOCKED),
        ("JOURNAL_FAILED", Self::JOURNAL_FAILED),
    ];

    /// The flags of a mask, as they stand in the word; None if it holds other bits.
    ///
    /// A kill level brings those below it.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & !Self::ALL.0 != 0 {
            return None;
        }
        Some(if bits & (0b100 << 2) != 0 {
            Self(bits | Self::KILL_FLATTEN.0)
        } else if bits & (0b010 << 2) != 0 {
            Self(bits | Self::KILL_CANCEL.0)
        } else {
            Self(bits)
        })
    }

    /// The mask, as it stands in the word.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a mask of flags to clear takes away: a kill switch is released as a whole.
    #[must_use]
    pub(super) const fn to_clear(self) -> Self {
        if self.0 & Self::KILL_FLATTEN.0 == 0 { self } else { self.and(Self::KILL_FLATTEN) }
    }

    pub(super) const fn of_word(word: u64) -> Self {
        Self(word & Self::ALL.0)
    }
}

/// What somebody is about to do. Each order is of exactly one class; in doubt it is the one that is refused sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ActionClass {
    /// Start a cycle of the five stages.
    NewCycle = 0,
    /// Read market and account for monitoring.
    MonitoringExtract = 1,
    /// Open or increase a position.
    Entry = 2,
    /// Reduce or close a position because a strategy says so.
    StrategyExit = 3,
    /// Reduce or close a position by a rule of the risk loop or an escape.
    ProtectiveExit = 4,
    /// A [`Self::ProtectiveExit`] for no more than min(book, broker), where the broker has confirmed its quantity within
    /// 60 s and the price is fresh.
    TrustedExit = 5,
    /// Close a position by the kill plan (K3, FS104).
    KillPlan = 6,
    /// The rest of an exit whose first order had left before: its further orders and their amendments.
    RunningExit = 7,
    /// Cancel a working order.
    Cancel = 8,
    /// Amend a working order in any way.
    Amend = 9,
    /// Amend a working exit so that it fills sooner.
    AmendTowardsExit = 10,
    /// Market data, fills, position shadow, reconciliation.
    Accounting = 11,
    /// Move capital between pools, promote.
    CapitalMove = 12,
    /// Reload any key of the configuration.
    ConfigReload = 13,
    /// Reload keys of safety and operations.
    SafetyConfigReload = 14,
    /// An order by hand that reduces a position.
    OperatorReduce = 15,
    /// A [`Self::OperatorReduce`] with the approval that LOCKDOWN asks for.
    OperatorReduceApproved = 16,
    /// An order by hand that opens or increases a position.
    OperatorIncrease = 17,
    /// Screens, logs, alerts, backups.
    Housekeeping = 18,
}

impl ActionClass {
    /// All classes, by number.
    pub const ALL: [Self; 19] = [
        Self::NewCycle,
        Self::MonitoringExtract,
        Self::Entry,
        Self::StrategyExit,
        Self::ProtectiveExit,
        Self::TrustedExit,
        Self::KillPlan,
        Self::RunningExit,
        Self::Cancel,
        Self::Amend,
        Self::AmendTowardsExit,
        Self::Accounting,
        Self::CapitalMove,
        Self::ConfigReload,
        Self::SafetyConfigReload,
        Self::OperatorReduce,
        Self::OperatorReduceApproved,
        Self::OperatorIncrease,
        Self::Housekeeping,
    ];

    /// The class of a number, if it is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name of the class.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewCycle => "NEW_CYCLE",
            Self::MonitoringExtract => "MONITORING_EXTRACT",
            Self::Entry => "ENTRY",
            Self::StrategyExit => "STRATEGY_EXIT",
            Self::ProtectiveExit => "PROTECTIVE_EXIT",
            Self::TrustedExit => "TRUSTED_EXIT",
            Self::KillPlan => "KILL_PLAN",
            Self::RunningExit => "RUNNING_EXIT",
            Self::Cancel => "CANCEL",
            Self::Amend => "AMEND",
            Self::AmendTowardsExit => "AMEND_TOWARDS_EXIT",
            Self::Accounting => "ACCOUNTING",
            Self::CapitalMove => "CAPITAL_MOVE",
            Self::ConfigReload => "CONFIG_RELOAD",
            Self::SafetyConfigReload => "SAFETY_CONFIG_RELOAD",
            Self::OperatorReduce => "OPERATOR_REDUCE",
            Self::OperatorReduceApproved => "OPERATOR_REDUCE_APPROVED",
            Self::OperatorIncrease => "OPERATOR_INCREASE",
            Self::Housekeeping => "HOUSEKEEPING",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

const fn set(classes: &[ActionClass]) -> u32 {
    let (mut bits, mut rest) = (0, classes);
    while let [first, others @ ..] = rest {
        bits |= first.bit();
        rest = others;
    }
    bits
}

use ActionClass as A;

/// In every state and under every flag.
const ALWAYS: u32 =
    set(&[A::MonitoringExtract, A::Cancel, A::Accounting, A::SafetyConfigReload, A::Housekeeping]);
/// What only an engine that trusts itself may do.
const DECIDE: u32 = set(&[A::NewCycle, A::Entry, A::StrategyExit, A::Amend, A::ConfigReload]);
const EXITS: u32 = set(&[A::ProtectiveExit, A::TrustedExit, A::RunningExit, A::AmendTowardsExit]);
const BY_HAND: u32 = set(&[A::OperatorReduce, A::OperatorReduceApproved]);
/// Whatever sends an order.
const ORDERS: u32 =
    EXITS | BY_HAND | set(&[A::Entry, A::StrategyExit, A::Amend, A::KillPlan, A::OperatorIncrease]);
/// Orders that a strategy is behind.
const STRATEGY_ORDERS: u32 = set(&[A::Entry, A::StrategyExit, A::Amend]);

/// The matrix of spec 01 §1.5, for one combination of operands.
const fn allowed(word: u64) -> u32 {
    let flags = Flags::of_word(word);
    let kills = flags.contains(Flags::KILL_HALT);
    // An engaged kill switch is a lockdown from the moment it is set, whether or not the state has been raised yet.
    let state = if kills { State::Lockdown as u64 } else { word & STATE };
    let exits = (word & OPERAND_MASK) >> EXITS_SHIFT;
    let journal_failed = flags.contains(Flags::JOURNAL_FAILED);

    let mut may = ALWAYS | set(&[A::OperatorReduceApproved, A::RunningExit]);
    if state <= State::Warning as u64 {
        may |= DECIDE;
    }
    if state <= State::Fail as u64 {
        may |= EXITS | BY_HAND;
    }
    if state == State::Normal as u64 && !journal_failed {
        may |= set(&[A::CapitalMove]);
    }
    if state == State::Lockdown as u64 && exits == ProtectiveExits::TrustedOnly as u64 && !journal_failed {
        may |= set(&[A::TrustedExit]);
    }
    if flags.contains(Flags::KILL_FLATTEN) && exits != ProtectiveExits::None as u64 {
        may |= set(&[A::KillPlan]);
    }
    if flags.contains(Flags::SAFE_MODE) || journal_failed {
        may &= !STRATEGY_ORDERS;
    }
    if flags.contains(Flags::ETEDA_SUSPENDED) {
        may &= !(STRATEGY_ORDERS | set(&[A::NewCycle]));
    }
    if flags.contains(Flags::ENTRIES_BLOCKED) {
        may &= !set(&[A::Entry, A::Amend]);
    }
    if flags.contains(Flags::HALT_ALL) {
        may &= !ORDERS;
    }
    may
}

#[allow(clippy::indexing_slicing, reason = "the compiler fills it: out of range would not compile")]
static ALLOWED: [u32; OPERANDS] = {
    let (mut table, mut word) = ([0; OPERANDS], 0);
    while word < OPERANDS {
        table[word] = allowed(word as u64);
        word += 1;
    }
    table
};

/// Whether a word permits an action: one look into the table.
#[inline]
pub(super) fn permits(word: u64, action: ActionClass) -> bool {
    let operands = (word & OPERAND_MASK) as usize;
    ALLOWED.get(operands).is_some_and(|may| may & action.bit() != 0)
}

pub(super) const fn state_of(word: u64) -> State {
    match word & STATE {
        0 => State::Normal,
        1 => State::Warning,
        2 => State::Fail,
        _ => State::Lockdown,
    }
}

pub(super) const fn with_state(word: u64, state: State) -> u64 {
    word & !STATE | state as u64
}

pub(super) const fn with_exits(exits: ProtectiveExits) -> u64 {
    (exits as u64) << EXITS_SHIFT
}
