"""What is said about an order and how it came about, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # refusals
        "no_report": ("{path}: no report of a backtest", "{path}: 백테스트 보고서가 없음"),
        "report": (
            "a directory that `qts-engine backtest --out` has written",
            "`qts-engine backtest --out`이 만든 디렉터리",
        ),
        "report_hint": (
            "leave --out away to look into the database of the home",
            "--out을 빼면 홈의 데이터베이스에서 찾습니다",
        ),
        "no_runs": ("no run on record in this home", "이 홈에 기록된 실행이 없음"),
        "runs": ("a run of the engine, or a report with --out DIR", "엔진 실행 기록 또는 --out DIR 보고서"),
        "runs_hint": ("start one with `qts-engine run`", "`qts-engine run`으로 실행을 시작하십시오"),
        "unknown_run": ("run {name!r}", "실행 {name!r}"),
        "known_runs": ("a run of this home; the newest are {names}", "이 홈의 실행. 최근 실행: {names}"),
        "none": ("none", "없음"),
        "unknown_order": ("order {name!r}, which is not on record", "기록에 없는 주문 {name!r}"),
        "near": ("an order of this run; near it are {names}", "이 실행의 주문. 비슷한 ID: {names}"),
        "known_order": ("an order of this run; it has none", "이 실행의 주문. 이 실행에는 주문이 없습니다"),
        "order_hint": (
            "the first column of orders.csv has the numbers; split, execution and decision ids do as well",
            "orders.csv의 첫 열이 주문 번호입니다. 분할, 집행, 결정 ID도 쓸 수 있습니다",
        ),
        # the table
        "head": (
            "order {asked} of run {run} ({mode}): {side} {qty} {symbol}, {track}",
            "실행 {run} ({mode})의 주문 {asked}: {symbol} {qty} {side}, {track}",
        ),
        "time": ("time (KST)", "시각 (KST)"),
        "after": ("+ms", "+ms"),
        "step": ("step", "단계"),
        "what": ("what", "내용"),
        "tick": ("tick", "시세"),
        "signal": ("signal", "신호"),
        "limits": ("limits", "한도"),
        "precheck": ("precheck", "사전 점검"),
        "split": ("split", "분할"),
        "send": ("send", "전송"),
        "ack": ("ack", "접수"),
        "fill": ("fill", "체결"),
        "end": ("end", "종료"),
        "result": ("result", "결과"),
        "stage": ("stage", "처리 시간"),
        # what happened
        "tick_book": (
            "bid {bid} x {bid_qty}, ask {ask} x {ask_qty}, last {last}; {age} old when it was decided on",
            "매수 {bid} x {bid_qty}, 매도 {ask} x {ask_qty}, 체결가 {last}; 결정 시점 기준 {age} 전 시세",
        ),
        "tick_price": ("price {price}; {age} old when it was decided on", "가격 {price}; 결정 시점 기준 {age} 전 시세"),
        "signal_is": (
            '{strategy} wanted {wanted}: {purpose} "{reason}", confidence {confidence}',
            '{strategy} 희망 수량 {wanted}: {purpose} "{reason}", 신뢰도 {confidence}',
        ),
        "limits_risk": (
            "risk allowed {allowed}; bound by {binding}; codes {codes}",
            "리스크 허용 {allowed}; 제한 요인 {binding}; 코드 {codes}",
        ),
        "limits_state": (
            "safety {safety}, operating {operating}; entries today {entries} of {most}, positions up to {positions}",
            "안전 {safety}, 운영 {operating}; 당일 진입 {entries}/{most}회, 포지션 최대 {positions}개",
        ),
        "refused_by_decide": ("not sent: {reason}", "전송 안 함: {reason}"),
        "passed": ("passed {gates}; {qty} may go{hold}", "{gates} 통과; {qty} 전송 가능{hold}"),
        "hold": (", hold {hold}", ", 홀드 {hold}"),
        "refused": ("refused: {reason}", "거절: {reason}"),
        "split_is": ("{strategy}: {children}", "{strategy}: {children}"),
        "child_at": ("{qty} after {after} ms", "{after} ms 뒤 {qty}"),
        "sent": (
            "{mark}order {order} ({split}): {side} {qty} {kind}{price}",
            "{mark}주문 {order} ({split}): {side} {qty} {kind}{price}",
        ),
        "liquidates": ("; liquidation", "; 청산 주문"),
        "acked": ("order {order} is at the venue", "주문 {order} 접수됨"),
        "filled": (
            "order {order}: {qty} @ {price}, fee {fee}, tax {tax}",
            "주문 {order}: {qty} @ {price}, 수수료 {fee}, 세금 {tax}",
        ),
        "ended": (
            "order {order} {state}: {filled} of {qty} filled{reason}",
            "주문 {order} {state}: {qty} 중 {filled} 체결{reason}",
        ),
        "because": (" ({reason})", " ({reason})"),
        "came_to": (
            "{state}, {disposition}{reason}: filled {filled}, cancelled {cancelled}, unsent {unsent}; average"
            " {average}, slippage {slippage}; rounds {rounds}; codes {codes}",
            "{state}, {disposition}{reason}: 체결 {filled}, 취소 {cancelled}, 미전송 {unsent}; 평균 {average}, "
            "슬리피지 {slippage}; 조정 {rounds}회; 코드 {codes}",
        ),
        "under_way": ("{state}: under way, filled {filled} so far", "{state}: 진행 중, 현재 체결 {filled}"),
        "stage_took": ("{stage} took {ms} ms{error}", "{stage} {ms} ms{error}"),
        "no_codes": ("none", "없음"),
    }
)
