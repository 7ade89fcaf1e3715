"""Texts of the performance engine in English and Korean."""

from typing import Final

from qts.codes.messages import Phrasebook

say: Final = Phrasebook(
    {
        "no_equity": (
            "on {day} the equity went from {base} (flows included) to {equity} money units",
            "{day}의 평가 자산이 {base}(입출금 포함)에서 {equity}(화폐 단위)로 변했습니다",
        ),
        "no_equity_expected": ("a positive equity to earn a return on", "수익률을 계산할 수 있는 양수의 평가 자산"),
        "no_equity_hint": (
            "the sums of money in the report stand; its ratios end here",
            "보고서의 금액은 유효하며, 비율만 계산되지 않습니다",
        ),
        "bad_return": ("a daily return of {value}", "일간 수익률 {value}"),
        "bad_return_expected": ("a finite number, not below -1", "-1 이상의 유한한 수"),
        "bad_slippage": (
            "side {side} and reference price {reference}",
            "방향 {side}, 기준 가격 {reference}",
        ),
        "bad_slippage_expected": ("BUY or SELL, and a positive price", "BUY 또는 SELL, 양수의 가격"),
        "bad_slippage_hint": ("leave fills without a reference out", "기준 가격이 없는 체결은 제외하십시오"),
        "oversold": (
            "{track} sold {qty} units of {symbol} on {day} and held {held}",
            "{day}에 {track}이(가) {symbol}을(를) {held} 보유하고 {qty}를 매도했습니다",
        ),
        "oversold_expected": (
            "fills from the first one on, and every split between them",
            "첫 체결부터의 모든 체결과 그 사이의 모든 분할",
        ),
        "oversold_hint": (
            "compare fills.csv with the positions; trades and results per sale cannot be told",
            "fills.csv와 포지션을 비교하십시오. 거래와 매도별 손익은 계산되지 않습니다",
        ),
        "days_disorder": ("day {day} after {before}", "{before} 다음에 {day}"),
        "days_disorder_expected": ("days in order, each once", "순서대로 한 번씩인 날짜"),
        "days_disorder_hint": ("give the equity of each day once", "하루에 하나의 평가 자산만 주십시오"),
    }
)
