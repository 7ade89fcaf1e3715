//! What each room does in LOCKDOWN (spec 01 §1.5, and the sections on it of the rooms' own documents).

use super::{Code, FS085, GR090, Text};

/// What one room does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockdownRow {
    /// Which room.
    pub room: Text,
    /// Number of its document.
    pub owner: &'static str,
    /// The code by which it tells so, if it has one.
    pub code: Option<&'static Code>,
    /// What it does.
    pub does: Text,
}

macro_rules! lockdown {
    ($($room:tt $owner:literal $($code:ident)? => $does:tt;)+) => {
        /// One row for each room.
        pub static LOCKDOWN: &[LockdownRow] = &[$(LockdownRow {
            room: text!($room),
            owner: $owner,
            code: lockdown!(@code $($code)?),
            does: text!($does),
        }),+];
    };
    (@code) => { None };
    (@code $code:ident) => { Some(&$code) };
}

lockdown! {
    ["pipeline", "파이프라인"] "02" =>
    ["no cycle runs; a monitoring extract only. Decisions that wait are discarded", "사이클을 돌리지 않고 감시용 추출만 수행. 대기 중인 결정은 폐기"];

    ["configuration", "설정"] "03" =>
    ["keys of safety and operations reload, all others are refused", "안전·운영 키만 다시 읽고 나머지는 거부"];

    ["backup", "백업"] "03" =>
    ["one backup is forced", "백업을 한 번 강제로 실행"];

    ["capital", "자본"] "14" FS085 =>
    ["all pools are locked; no transfer, no promotion", "모든 풀을 잠그고 이체와 승격을 중단"];

    ["execution", "집행"] "15" =>
    ["everything is cancelled but running exits, which run to their end; nothing new starts. Cancels, queries, fills and reconciliation go on", "진행 중인 청산을 제외한 모든 주문을 취소하고, 진행 중인 청산은 끝까지 수행. 새로 시작하지 않음. 취소, 조회, 체결 처리, 대사는 계속"];

    ["risk loop", "리스크 루프"] "16" =>
    ["goes on, reduce-only, as `lockdown.protective_exits` says: by default an exit needs no `halt_all`, a quantity that the broker confirmed within 60 s, no more than min(book, broker), a fresh price and a writable journal; else an alert instead of an order", "`lockdown.protective_exits`에 따라 축소 전용으로 계속. 기본값에서 청산하려면 `halt_all`이 아니고, 증권사가 60초 안에 확인한 수량이며, min(장부, 증권사) 이내이고, 가격이 최신이고, 저널에 쓸 수 있어야 함. 아니면 주문 대신 알림"];

    ["event bus", "이벤트 버스"] "17" GR090 =>
    ["CRITICAL_ONLY: P1 to P3 pause, P0 loses nothing; the price tap goes on", "CRITICAL_ONLY: P1~P3를 멈추고 P0는 아무것도 잃지 않음. 시세 탭은 계속"];

    ["operating state", "운영 상태"] "18a" =>
    ["frozen with its clocks; at the release AGGRESSIVE becomes BALANCED", "시계와 함께 동결. 해제 시 AGGRESSIVE는 BALANCED로 전환"];

    ["data layer", "데이터 계층"] "18b" =>
    ["ledger, journal, positions and audit go on; the mirror pauses; migration and retention are frozen", "원장, 저널, 포지션, 감사 기록은 계속. 미러는 멈추고 마이그레이션과 보존 정리는 동결"];

    ["cache", "캐시"] "19" =>
    ["writes of positions and orders go on; stale quotes raise nothing; only an operator flushes", "포지션과 주문 기록은 계속. 오래된 호가로 코드를 올리지 않음. 비우기는 운영자만 가능"];

    ["feedback", "피드백"] "20" =>
    ["collects residual and emergency fills; publishes, trains and suggests nothing", "잔여·비상 체결만 수집하고 발행, 학습, 제안을 하지 않음"];

    ["operator", "운영자"] "01" =>
    ["orders by hand reduce only, with approval; screens, logs and alerts go on", "수동 주문은 승인을 받아 축소만 가능. 화면, 로그, 알림은 계속"];
}
