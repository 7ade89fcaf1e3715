"""What is said of the pools of an account, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # refusals
        "type_one": ("type one of them", "그중 하나를 입력하십시오"),
        "meant": ("did you mean {name}?", "{name}을(를) 뜻하셨습니까?"),
        "date": ("a date as YYYY-MM-DD", "YYYY-MM-DD 형식의 날짜"),
        "none": ("none", "없음"),
        "unknown_account_id": ("account {name!r}", "계좌 {name!r}"),
        "known_account_id": (
            "an account of this home; the newest are {names}",
            "이 홈의 계좌. 최근 계좌: {names}",
        ),
        "unknown_session_id": ("run {name!r}", "실행 {name!r}"),
        "known_session_id": ("a run of this home; the newest are {names}", "이 홈의 실행. 최근 실행: {names}"),
        "leave_out": (
            "leave the option out to see the newest run that has pools",
            "옵션을 빼면 풀이 있는 가장 최근 실행을 보여 줍니다",
        ),
        "not_begun": ("no pools have been opened yet", "아직 열린 자금 풀이 없습니다"),
        "begun": ("pools, which the first data of a session open", "세션의 첫 데이터와 함께 열리는 자금 풀"),
        "begun_hint": ("try again when the session has begun", "세션이 시작된 뒤 다시 시도하십시오"),
        "unlocked": (
            "{pool} is unlocked and paused until the next cycle has found its books right",
            "{pool} 잠금이 해제되었고, 다음 주기에 장부가 맞는 것이 확인될 때까지 일시 정지 상태입니다",
        ),
        "lockdown": ("{pool} is to be unlocked in LOCKDOWN", "LOCKDOWN 상태에서 {pool} 잠금 해제 요청"),
        "released": ("a safety state that would not lock it again", "다시 잠그지 않을 안전 상태"),
        "released_hint": (
            "release LOCKDOWN first, with `qts-engine approve`; pools that it alone has locked go on by themselves",
            "먼저 `qts-engine approve`로 LOCKDOWN을 해제하십시오. LOCKDOWN만으로 잠긴 풀은 스스로 재개됩니다",
        ),
        # nothing to show
        "no_pools": (
            "no pools yet: run strategies of more than one track, or set capital.mode: ON",
            "아직 자금 풀이 없습니다. 둘 이상의 트랙에서 전략을 실행하거나 capital.mode: ON으로 설정하십시오",
        ),
        "no_transfers": (
            "no transfer of this kind yet; `qts-engine capital show` tells how far the pools are from one",
            "아직 해당 이체가 없습니다. `qts-engine capital show`에서 풀의 진행 상황을 확인하십시오",
        ),
        "no_entries": ("no ledger line that fits", "해당하는 원장 기록이 없습니다"),
        # show
        "head": (
            "account {account}, run {run} ({mode}, {strategy}), {currency}",
            "계좌 {account}, 실행 {run} ({mode}, {strategy}), {currency}",
        ),
        "as_of": ("as of {at}; the run is {status}", "{at} 기준, 실행 상태 {status}"),
        "sum": ("together", "합계"),
        "total": ("total", "총 자금"),
        "available": ("available", "사용 가능"),
        "invested": ("invested, at cost", "투자(원가)"),
        "reserved": ("reserved", "예약"),
        "held": ("held for orders", "주문 대기"),
        "realized": ("realised", "실현 손익"),
        "unrealized": ("unrealised", "미실현 손익"),
        "share": ("share", "비중"),
        "target": ("target", "목표"),
        "drift": ("drift, points", "이탈(%p)"),
        "state": ("state", "상태"),
        "because": ("because of", "사유"),
        "unit_price": ("unit price", "단위 가격"),
        "drawdown": ("drawdown", "낙폭"),
        "promotion": ("to promotion", "승격까지"),
        "eligible": ("every criterion is met", "모든 기준 충족"),
        "yes": ("yes", "예"),
        "no": ("no", "아니오"),
        "last_promotion": ("last promotion", "마지막 승격"),
        "unallocated": ("unallocated: {amount} {currency}", "미배정: {amount} {currency}"),
        "locked": ("{pool} is locked since {at}: {code}, {reason}", "{pool} 잠김({at}부터): {code}, {reason}"),
        "last_transfers": ("last transfers", "최근 이체"),
        "more": (
            "`qts-engine capital history` shows each with its reason and criteria",
            "`qts-engine capital history`에서 각 이체의 이유와 기준을 볼 수 있습니다",
        ),
        # history
        "transfers": ("transfers", "이체"),
        "ledger": ("ledger", "원장"),
        "moved": (
            "{at}  {kind} {source} > {target}  {amount}  {status}",
            "{at}  {kind} {source} > {target}  {amount}  {status}",
        ),
        "why": ("why: {reason}, key {key}", "이유: {reason}, 키 {key}"),
        "when": ("state {operating}, safety {safety}{operator}", "운영 상태 {operating}, 안전 {safety}{operator}"),
        "operator": (", approved by {operator}", ", 승인자 {operator}"),
        "criteria": ("criteria: {criteria}", "기준: {criteria}"),
        "totals": ("totals: {totals}", "총액: {totals}"),
        # what a ledger line belongs to
        "of_fill": ("fill {rest} of order {name}", "주문 {name}의 체결 {rest}"),
        "of_hold": ("held for order {name}", "주문 {name} 대기 자금"),
        "of_unhold": ("order {name} has ended", "주문 {name} 종료"),
        "of_fund": ("first funding", "최초 배정"),
        "of_allocate": ("allocated by targets", "목표에 따른 배정"),
        "of_external": ("deposit or withdrawal {name}", "입출금 {name}"),
        "of_withdraw": ("withdrawal {name}", "출금 {name}"),
        "of_adjust": ("adjustment {name}", "조정 {name}"),
        "of_dividend": ("dividend of {name}", "{name} 배당"),
        "of_charge": ("{name} charged later", "사후 부과 {name}"),
        "of_split": ("split of {name}", "{name} 분할"),
        "of_release": ("out of quarantine: {key}", "격리 해제: {key}"),
        "of_reserve": ("reserved for {key}", "{key} 예약"),
        "of_transfer": ("transfer {key}", "이체 {key}"),
    }
)
