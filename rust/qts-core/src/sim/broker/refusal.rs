//! Why the broker does not take a request: its kind, and the code and words that Korean brokers use.
//!
//! Codes are those of KIS where its own are known, else those of Kiwoom's mock server (`RC....`, six digits); what
//! neither is known to say has a code of the simulation (`SIM.....`).

/// What a refusal means to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Not carried out, and may be taken later.
    Transient,
    /// Will not be taken as it is.
    Permanent,
    /// Not enough money, or not enough to sell.
    InsufficientBalance,
    /// No such instrument.
    SymbolNotFound,
    /// Nothing is left to cancel or to amend.
    AlreadyDone,
}

impl RefusalKind {
    /// Every member.
    pub const ALL: [Self; 5] = [
        Self::Transient,
        Self::Permanent,
        Self::InsufficientBalance,
        Self::SymbolNotFound,
        Self::AlreadyDone,
    ];

    /// Name as adapters use it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "TRANSIENT",
            Self::Permanent => "PERMANENT",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::SymbolNotFound => "SYMBOL_NOT_FOUND",
            Self::AlreadyDone => "ALREADY_DONE",
        }
    }

    /// The member of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The refusal given where a fault plan asks for one of this kind.
    pub const fn sample(self) -> Refusal {
        match self {
            Self::Transient => Refusal::TOO_FAST,
            Self::Permanent => Refusal::ON_DEMAND,
            Self::InsufficientBalance => Refusal::NO_CASH,
            Self::SymbolNotFound => Refusal::NO_SYMBOL,
            Self::AlreadyDone => Refusal::NOTHING_LEFT,
        }
    }
}

/// A request that was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub kind: RefusalKind,
    /// The broker's code.
    pub code: &'static str,
    /// The broker's words.
    pub text: &'static str,
}

const fn refusal(kind: RefusalKind, code: &'static str, text: &'static str) -> Refusal {
    Refusal { kind, code, text }
}

/// Code and words of a request that was taken.
pub const TAKEN: (&str, &str) = ("APBK0013", "주문 전송 완료 되었습니다.");

impl Refusal {
    /// More requests in a second than the broker takes.
    pub const TOO_FAST: Self = refusal(RefusalKind::Transient, "EGW00201", "초당 거래건수를 초과하였습니다.");
    /// An amendment of the order is on its way to the exchange.
    pub const BUSY: Self = refusal(RefusalKind::Transient, "SIM00001", "정정 처리 중인 주문입니다.");
    /// The instrument is not known.
    pub const NO_SYMBOL: Self = refusal(RefusalKind::SymbolNotFound, "APBK0656", "해당 종목정보가 없습니다.");
    /// Orders are not taken at this time.
    pub const CLOSED: Self = refusal(RefusalKind::Permanent, "APBK0918", "장운영시간이 아닙니다.");
    /// Trading in the instrument is halted.
    pub const HALTED: Self = refusal(RefusalKind::Permanent, "509193", "거래가 정지된 종목입니다.");
    /// Not a positive multiple of the lot.
    pub const BAD_QTY: Self = refusal(RefusalKind::Permanent, "SIM00002", "주문수량을 확인하세요.");
    /// The price is missing or off the tick ladder.
    pub const OFF_TICK: Self = refusal(RefusalKind::Permanent, "RC4003", "호가단위를 확인하세요.");
    /// The price is outside the day's limits.
    pub const OUT_OF_BAND: Self = refusal(RefusalKind::Permanent, "RC4027", "상/하한가를 벗어난 주문입니다.");
    /// A market order with neither limits of the day nor a quote: nobody knows what it may cost.
    pub const NO_PRICE: Self =
        refusal(RefusalKind::Permanent, "SIM00003", "기준가격이 없어 시장가 주문을 할 수 없습니다.");
    /// The purchase may cost more than is orderable.
    pub const NO_CASH: Self =
        refusal(RefusalKind::InsufficientBalance, "APBK0952", "주문가능금액을 초과했습니다.");
    /// More is to be sold than is held and not yet offered.
    pub const NO_HOLDING: Self =
        refusal(RefusalKind::InsufficientBalance, "APBK0400", "주문 가능한 수량을 초과했습니다.");
    /// No order was given that number today.
    pub const NO_ORDER: Self = refusal(RefusalKind::Permanent, "SIM00004", "원주문번호를 확인하세요.");
    /// The order under that number has nothing left.
    pub const NOTHING_LEFT: Self =
        refusal(RefusalKind::AlreadyDone, "RC4033", "정정/취소할 수량이 없습니다.");
    /// An amendment may not ask for more than was ordered, nor for no more than is filled.
    pub const BAD_AMEND_QTY: Self = refusal(RefusalKind::Permanent, "SIM00005", "정정수량을 확인하세요.");
    /// A fault plan wanted it.
    pub const ON_DEMAND: Self = refusal(RefusalKind::Permanent, "SIM00009", "주문이 거부되었습니다.");
}
