"""What the books of the pools say, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # refusals
        "amount": ("{what} of {amount}", "{what} 금액 {amount}"),
        "amount_expected": ("a whole number of money units above 0", "0보다 큰 정수 금액"),
        "amount_hint": ("correct the amount; nothing was booked", "금액을 고치십시오. 아무것도 기록되지 않았습니다"),
        "whole_expected": ("a whole number of money units other than 0", "0이 아닌 정수 금액"),
        "pool": ("unknown pool {pool!r}", "알 수 없는 자금 풀 {pool!r}"),
        "pool_expected": ("SCALP, SWING or PORTFOLIO", "SCALP, SWING 또는 PORTFOLIO"),
        "pool_hint": ("correct the name of the pool", "자금 풀 이름을 고치십시오"),
        "short": ("{what} of {amount} from {pool}", "{pool}에서 {what} {amount}"),
        "short_expected": ("at most the {available} that are free there", "그곳의 사용 가능 금액 {available} 이하"),
        "short_hint": (
            "lower the amount, or wait until orders end or positions close",
            "금액을 줄이거나 주문 종료 또는 포지션 청산을 기다리십시오",
        ),
        "locked": ("{what}: {pool} is {state}", "{what}: {pool} 상태가 {state}입니다"),
        "locked_expected": ("a pool that may give and take capital", "자금을 내고 받을 수 있는 풀"),
        "locked_hint": (
            "look at the cause with `qts-engine capital show`; an operator unlocks a pool",
            "`qts-engine capital show`로 원인을 확인하십시오. 잠금은 운영자가 해제합니다",
        ),
        "same_pool": ("a transfer from {pool} to itself", "{pool}에서 같은 풀로의 이체"),
        "same_pool_expected": ("two different pools", "서로 다른 두 풀"),
        "ref": ("reference {ref!r}", "참조 {ref!r}"),
        "ref_expected": ("1 to 128 characters, in an order's name no colon", "1~128자, 주문 이름에는 콜론 불가"),
        "ref_hint": ("give what the record belongs to", "기록이 속한 대상을 지정하십시오"),
        "moment": ("a time without a zone: {at}", "시간대가 없는 시각: {at}"),
        "moment_expected": ("an aware UTC time", "시간대가 있는 UTC 시각"),
        "moment_hint": ("pass the engine's time", "엔진의 시각을 넘기십시오"),
        "side": ("a fill with side {side!r}", "체결 방향 {side!r}"),
        "side_expected": (
            "BUY or SELL, quantity above 0, no negative money",
            "BUY 또는 SELL, 0보다 큰 수량, 음수 금액 불가",
        ),
        "side_hint": ("look at the record of the fill", "체결 기록을 확인하십시오"),
        "unlock_who": ("an unlock by {operator!r} because of {reason!r}", "{operator!r}의 잠금 해제, 사유 {reason!r}"),
        "unlock_who_expected": ("an operator and a reason", "운영자와 사유"),
        "unlock_who_hint": ("name both; they are recorded", "둘 다 입력하십시오. 기록됩니다"),
        "not_locked": ("{pool} is {state}", "{pool} 상태가 {state}입니다"),
        "not_locked_expected": ("a locked pool", "잠긴 풀"),
        "not_locked_hint": ("nothing has to be unlocked", "해제할 잠금이 없습니다"),
        "shares": ("shares of {shares}", "비중 {shares}"),
        "shares_expected": ("a share for each pool, together exactly 1", "풀마다 하나씩, 합이 정확히 1인 비중"),
        "shares_hint": ("correct `capital.targets` in capital.yaml", "capital.yaml의 `capital.targets`를 고치십시오"),
        # faults
        "oversold": (
            "a sale of {sold} {symbol} by {pool}, which holds {held}",
            "{pool}이(가) {symbol} {held} 보유 중 {sold} 매도",
        ),
        "oversold_expected": ("at most what the pool holds", "풀의 보유 수량 이하"),
        "split_bad": ("a split of {symbol} that {pool} does not hold so", "{pool} 보유와 맞지 않는 {symbol} 분할"),
        "split_bad_expected": (
            "one part for each pool that holds the symbol, costs not above what they were",
            "종목을 보유한 풀마다 하나씩, 원가는 이전 이하",
        ),
        "books_hint": (
            "nothing was booked; reconcile the books with the broker, then go on",
            "아무것도 기록되지 않았습니다. 증권사와 장부를 대조한 뒤 계속하십시오",
        ),
        "broken": ("{rule}: {detail}", "{rule}: {detail}"),
        "broken_expected": ("books that balance after every record", "모든 기록 뒤에 균형이 맞는 장부"),
        "not_kept": ("a capital record cannot be kept: {reason}", "자금 기록을 저장할 수 없습니다: {reason}"),
        "not_kept_expected": ("a durable record before the books change", "장부 변경 전의 영구 기록"),
        "not_kept_hint": (
            "check the journal and the database; nothing was booked",
            "저널과 데이터베이스를 확인하십시오. 아무것도 기록되지 않았습니다",
        ),
        "no_cost": (
            "the ledger has {ledger} invested in {pool}, its positions cost {cost}",
            "원장의 {pool} 투자액은 {ledger}, 포지션 원가는 {cost}",
        ),
        "no_cost_expected": ("the same figure from both", "양쪽이 같은 금액"),
        # findings
        "negative": ("{pool}: {bucket} is {amount}", "{pool}: {bucket} 금액이 {amount}입니다"),
        "live_differs": (
            "{pool}: books {books}, live table {live} ({what})",
            "{pool}: 장부 {books}, 실시간 표 {live} ({what})",
        ),
        "cash_differs": (
            "cash of the books {books}, of the broker {broker}; {tolerance} tolerated",
            "장부 현금 {books}, 증권사 현금 {broker}. 허용 오차 {tolerance}",
        ),
        "quantity_differs": ("{symbol}: books {books}, broker {broker}", "{symbol}: 장부 {books}, 증권사 {broker}"),
        "unexplained": (
            "equity changed by {change}, the books explain {explained}; {tolerance} tolerated",
            "평가액 변동 {change}, 장부로 설명되는 금액 {explained}. 허용 오차 {tolerance}",
        ),
        "fell": (
            "the unit price of {pool} fell from {before} to {after} within one session",
            "{pool} 기준가가 한 거래일에 {before}에서 {after}(으)로 하락",
        ),
        "evaluation_failed": (
            "the evaluation of capital has failed {count} times in a row: {error}",
            "자금 평가가 연속 {count}번 실패: {error}",
        ),
        "deferred": ("{key} waits: {reason}", "{key} 보류: {reason}"),
        "shortfall": (
            "{pool} lacks {amount} of free capital for its rebalance: no entries until it has drifted back",
            "{pool} 리밸런싱에 사용 가능 금액 {amount} 부족. 비중이 돌아올 때까지 신규 진입 중지",
        ),
        "open_code": ("{code} is open: {reason}", "{code} 미해결: {reason}"),
        "stored_state": ("the stored state of the transfer service ({reason})", "저장된 이체 서비스 상태({reason})"),
        "stored_state_expected": ("the record as it was written", "기록된 그대로의 내용"),
        "stored_state_hint": (
            "remove it: what it held is taken from the recorded transfers then",
            "삭제하십시오. 내용은 기록된 이체에서 다시 얻습니다",
        ),
    }
)
"""Every text of the books, the metrics and the transfer service."""
