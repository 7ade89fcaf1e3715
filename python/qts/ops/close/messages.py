"""What the close of a session says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        "closed": ("{account}, {day}: closed, {count} steps", "{account}, {day}: 마감 완료, {count}단계"),
        "closed_before": ("{account}, {day}: was closed already", "{account}, {day}: 이미 마감되었습니다"),
        "step_failed": (
            "{account}, {day}: the close stands at {step} (attempt {attempts}): {message}",
            "{account}, {day}: 마감이 {step} 단계에서 멈췄습니다 (시도 {attempts}회): {message}",
        ),
        "step_broke": ("{step} raised {kind}: {reason}", "{step} 단계에서 {kind} 오류: {reason}"),
        # the record
        "account_name": ("account {account!r}", "계좌 {account!r}"),
        "account_name_expected": (
            "1 to 64 letters, digits, dots, hyphens or underscores, none of them at the start a dot",
            "영문자, 숫자, 점, 하이픈, 밑줄 1~64자. 점으로 시작할 수 없음",
        ),
        "account_name_hint": ("name the account otherwise", "계좌 이름을 바꾸십시오"),
        "held": (
            "another process closes sessions of {account}",
            "다른 프로세스가 {account}의 마감을 진행 중입니다",
        ),
        "held_expected": ("one close of an account at a time", "계좌마다 마감은 한 번에 하나"),
        "held_hint": (
            "wait until it has ended; then nothing is done twice",
            "끝날 때까지 기다리십시오. 두 번 처리되지 않습니다",
        ),
        "unwritable": ("{path} cannot be written: {reason}", "{path}에 쓸 수 없습니다: {reason}"),
        "unwritable_expected": ("a record that survives a crash", "장애 후에도 남는 기록"),
        "unwritable_hint": (
            "free space or mend the disk; the close goes on where it stands",
            "공간을 확보하거나 디스크를 고치십시오. 마감은 멈춘 곳에서 이어집니다",
        ),
        "damaged": ("{path} is not what was written: {reason}", "{path}의 내용이 기록한 것과 다릅니다: {reason}"),
        "damaged_expected": ("a record with its checksum", "검사합이 맞는 기록"),
        "damaged_hint": (
            "restore it from a backup; do not remove it, or what was done is done again",
            "백업에서 복구하십시오. 지우면 이미 한 일을 다시 하게 됩니다",
        ),
        "earlier_open": ("{earlier} of {account} is not closed", "{account}의 {earlier} 마감이 끝나지 않았습니다"),
        "earlier_open_expected": ("sessions closed in their order", "날짜 순서대로 마감"),
        "earlier_open_hint": ("close {earlier} first", "{earlier} 마감을 먼저 하십시오"),
        "later_closed": ("{later} of {account} is closed already", "{account}의 {later} 마감이 이미 끝났습니다"),
        "later_closed_hint": (
            "a session before the last that was closed cannot be closed any more; look at the ledger of that day",
            "마지막으로 마감한 날보다 앞선 날은 마감할 수 없습니다. 그날의 원장을 확인하십시오",
        ),
        "bad_steps": ("steps {names}", "단계 {names}"),
        "bad_steps_expected": ("each at most once, in the order {order}", "한 번씩, {order} 순서"),
        "bad_steps_hint": ("report this as a defect", "결함으로 신고하십시오"),
        # reconciliation
        "agree": ("{count} holdings and the cash agree", "보유 {count}건과 현금이 일치합니다"),
        "differ": ("{count} differences, first: {first}", "차이 {count}건, 첫째: {first}"),
        "qty_differs": (
            "{symbol}/{track}: {core} in the engine, {ledger} in the ledger",
            "{symbol}/{track}: 엔진 {core}, 원장 {ledger}",
        ),
        "cash_differs": ("cash: {core} in the engine, {ledger} in the ledger", "현금: 엔진 {core}, 원장 {ledger}"),
        "pools_differ": ("cash: {core} of the account, {pools} of its pools", "현금: 계좌 {core}, 풀 합계 {pools}"),
        "broker_qty": (
            "{symbol}: {core} over all tracks, {broker} at the broker",
            "{symbol}: 모든 트랙 합계 {core}, 증권사 {broker}",
        ),
        "broker_cash": (
            "cash: {core} in the engine, {broker} at the broker, tolerance {tolerance}",
            "현금: 엔진 {core}, 증권사 {broker}, 허용 {tolerance}",
        ),
        "agree_expected": ("engine, ledger and broker agree", "엔진, 원장, 증권사 일치"),
        "differ_hint": (
            "explain each difference: a manual trade, a transfer or a corporate action; nothing after it was done",
            "차이마다 원인을 밝히십시오: 수동 매매, 이체, 권리 행사. 이후 단계는 하지 않았습니다",
        ),
        # settlement
        "settled": ("{count} trades settled, {left} wait", "체결 {count}건 결제, {left}건 대기"),
        "trade_differs": (
            "trade {key} of {day} is known with {known}, now {amount}",
            "{day} 체결 {key}의 금액이 {known}이었는데 이제 {amount}입니다",
        ),
        "trade_differs_expected": ("the same amount whenever it is told", "같은 체결은 같은 금액"),
        "trade_differs_hint": ("look at the fill in the ledger", "원장의 체결을 확인하십시오"),
        "withdrawal": (
            "a withdrawal of {amount}; {free} can be withdrawn on {day}",
            "출금 요청 {amount}, {day} 출금 가능 {free}",
        ),
        "withdrawal_expected": (
            "more than 0, and no more than what is settled and not owed for purchases",
            "0보다 크고, 결제가 끝나고 매수 대금으로 나갈 돈이 아닌 금액 이하",
        ),
        "withdrawal_hint": (
            "take less, or wait: sales can be withdrawn {lag} business days after the trade",
            "금액을 줄이거나 기다리십시오. 매도 대금은 {lag}영업일 뒤에 출금할 수 있습니다",
        ),
        # dividends
        "actions_done": (
            "{paid} dividends paid, {recorded} recorded, {splits} splits",
            "배당 {paid}건 지급, {recorded}건 권리 기록, 분할·병합 {splits}건",
        ),
        "late_dividend": (
            "{symbol}: the dividend of {ex_date} came after its ex-date and is recorded for nobody",
            "{symbol}: {ex_date} 배당이 배당락일 뒤에 입력되어 권리가 기록되지 않았습니다",
        ),
        "split_works": (
            "an order of {track} for {symbol} works; its split of {day} cannot be applied",
            "{track}의 {symbol} 주문이 남아 있어 {day} 분할·병합을 적용할 수 없습니다",
        ),
        "split_works_expected": (
            "no working order of the symbol after the close",
            "마감 뒤 그 종목의 미체결 주문 없음",
        ),
        "split_works_hint": (
            "end the order; nothing was booked, and the close tries again",
            "주문을 끝내십시오. 아무것도 기장하지 않았으며 마감이 다시 시도합니다",
        ),
        # report, backup
        "reported": ("written to {path}", "{path}에 저장"),
        "backed_up": ("{name}, verified", "{name}, 검증됨"),
        "backup_later": (
            "left to the last of the sessions that are closed late",
            "늦게 마감하는 마지막 날에 백업합니다",
        ),
        "stale_mark": (
            "{symbol}: no price for {sessions} sessions, valued at its last; an exit waits until it trades",
            "{symbol}: {sessions}거래일 동안 시세가 없어 마지막 가격으로 평가합니다. 청산은 거래가 재개되면 나갑니다",
        ),
    }
)
