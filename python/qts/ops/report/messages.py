"""Texts of the report in English and Korean."""

from typing import Final

from qts.codes.messages import Phrasebook

say: Final = Phrasebook(
    {
        "title": ("Run report", "실행 보고서"),
        "key_figures": ("Key figures", "주요 지표"),
        "chart_equity": ("Equity ({currency})", "평가 자산 ({currency})"),
        "chart_equity_short": ("Equity", "평가 자산"),
        "chart_drawdown": ("Drawdown (%)", "낙폭 (%)"),
        "chart_price": ("{symbol}: price and fills", "{symbol}: 가격과 체결"),
        "buy": ("buy", "매수"),
        "sell": ("sell", "매도"),
        "strategy": ("Strategy", "전략"),
        "data": ("Data", "데이터"),
        "records": ("Records", "레코드"),
        "speed": ("Records per second", "초당 레코드"),
        "cash_start": ("Cash at the start", "시작 현금"),
        "cash_end": ("Cash at the end", "종료 현금"),
        "equity_end": ("Equity at the end", "종료 평가 자산"),
        "fees": ("Fees", "수수료"),
        "taxes": ("Taxes", "세금"),
        "realized_pnl": ("Realised result of sales", "실현 손익"),
        "unrealized_pnl": ("Unrealised result", "미실현 손익"),
        "max_drawdown": ("Deepest drawdown", "최대 낙폭"),
        "orders": ("Orders", "주문"),
        "fills": ("Fills", "체결"),
        "refused": ("Entries refused", "거절된 진입"),
        "positions": ("Open positions", "보유 포지션"),
        "flat": ("none: the account is flat", "없음"),
        "refusals": ("What became of wishes", "주문 의사 처리 결과"),
        "faults": ("Faults", "장애"),
        "suspended": ("suspended", "중단됨"),
        "decision_hash": ("Decision hash", "결정 해시"),
        "bad_rows": ("Bad rows left out", "제외된 불량 행"),
        "latency": ("Time per stage, median and 99th percentile (µs)", "단계별 시간, 중앙값·99백분위 (µs)"),
    }
)
