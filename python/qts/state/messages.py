"""What the operating state says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # overrides
        "override_hint": (
            "`DEFENSIVE` needs no precondition; correct the request, or wait until it is met",
            "`DEFENSIVE`는 전제 조건이 없습니다. 요청을 고치거나 조건이 충족될 때까지 기다리십시오",
        ),
        "override_lockdown": ("an override while safety is LOCKDOWN", "안전 상태가 LOCKDOWN일 때의 수동 전환"),
        "override_lockdown_expected": (
            "LOCKDOWN released first; it outranks every override",
            "먼저 LOCKDOWN 해제가 필요합니다. LOCKDOWN이 모든 수동 전환보다 우선합니다",
        ),
        "override_text": ("{name} with {count} characters", "{name} 길이가 {count}자입니다"),
        "override_text_expected": ("1 to {most} characters", "1~{most}자"),
        "override_naive": ("an expiry without a time zone: {expiry}", "시간대가 없는 만료 시각: {expiry}"),
        "override_naive_expected": ("a time with its zone, such as UTC", "UTC처럼 시간대가 있는 시각"),
        "override_expiry": ("an override that ends at {expiry}", "{expiry}에 끝나는 수동 전환"),
        "override_expiry_expected": (
            "an end after now ({now}) and at most {days} days ahead",
            "현재({now}) 이후이며 최대 {days}일 이내의 종료 시각",
        ),
        "override_disabled": ("an override to {target}", "{target} 상태로의 수동 전환"),
        "override_disabled_expected": (
            "DEFENSIVE, or `operating_state.override.enabled: true` in state.yaml",
            "DEFENSIVE 또는 state.yaml의 `operating_state.override.enabled: true`",
        ),
        "override_safety": (
            "an override from {current} to {target} while safety is {safety}",
            "안전 상태가 {safety}일 때 {current}에서 {target}(으)로의 수동 전환",
        ),
        "override_safety_expected": ("safety {needed}", "안전 상태 {needed}"),
        "override_condition": (
            "an override to {target} while {name} is {value}",
            "{name} 값이 {value}일 때 {target} 상태로의 수동 전환",
        ),
        "override_condition_expected": ("{name} known and {bound}", "{name} 값이 확인되고 {bound}"),
        "override_confirm": (
            "an override to more risk confirmed by {who}",
            "{who}이(가) 확인한, 위험을 높이는 수동 전환",
        ),
        "override_confirm_expected": (
            "confirmation by a second operator in live trading",
            "실거래에서는 두 번째 운영자의 확인",
        ),
        "nobody": ("nobody", "아무도 아닌 사람"),
        "no_override": ("no override is in force", "적용 중인 수동 전환이 없습니다"),
        "no_override_expected": ("an override to cancel", "취소할 수동 전환"),
        "no_override_hint": ("look at the operating state", "운영 상태를 확인하십시오"),
        "renewed": (
            "the override has been renewed {count} times without a pause",
            "수동 전환이 중단 없이 {count}번 연장되었습니다",
        ),
        "override_ended": (
            "{by} ended the override of {operator}: {reason}",
            "{by}이(가) {operator}의 수동 전환을 끝냈습니다: {reason}",
        ),
        # safety
        "no_lockdown": ("safety is {safety}", "안전 상태가 {safety}입니다"),
        "no_lockdown_expected": ("LOCKDOWN, which is what a release ends", "해제할 LOCKDOWN"),
        "forced_up": ("a forced move from {current} to {target}", "{current}에서 {target}(으)로의 강제 전환"),
        "forced_up_expected": ("a target of less risk", "위험이 더 낮은 상태"),
        "forced_up_hint": ("only rules and operators raise the risk", "위험은 규칙과 운영자만 높일 수 있습니다"),
        # store
        "not_persisted": (
            "the operating state cannot be written: {reason}",
            "운영 상태를 기록할 수 없습니다: {reason}",
        ),
        "not_persisted_expected": ("a durable record before a change to more risk", "위험을 높이기 전의 영구 기록"),
        "not_persisted_hint": (
            "check free space and permissions of the directory",
            "디렉터리의 여유 공간과 권한을 확인하십시오",
        ),
        "corrupt": (
            "the stored operating state cannot be trusted: {reason}",
            "저장된 운영 상태를 믿을 수 없습니다: {reason}",
        ),
        "corrupt_expected": ("the records as they were written", "기록된 그대로의 내용"),
        "corrupt_hint": (
            "the engine starts DEFENSIVE; look at the file that was set aside, then override if need be",
            "엔진은 DEFENSIVE로 시작합니다. 따로 보관된 파일을 살펴본 뒤 필요하면 수동 전환하십시오",
        ),
        "second_writer": (
            "another process writes the operating state",
            "다른 프로세스가 운영 상태를 기록하고 있습니다",
        ),
        "second_writer_expected": ("one engine for each account and QTS_HOME", "계좌와 QTS_HOME마다 엔진 하나"),
        "second_writer_hint": (
            "stop the other engine, or set QTS_HOME to another directory",
            "다른 엔진을 멈추거나 QTS_HOME을 다른 디렉터리로 지정하십시오",
        ),
        "line": ("line {line}: {reason}", "{line}행: {reason}"),
        "bad_line": ("not a record", "기록이 아닙니다"),
        "bad_hash": ("the checksum differs", "체크섬이 다릅니다"),
        "bad_version": ("version {found} after {before}", "버전 {before} 다음에 {found}"),
        "bad_head": (
            "the last record has version {found}, but {head} was written",
            "마지막 기록의 버전은 {found}이지만 {head}까지 기록되었습니다",
        ),
        # notes
        "metric": ("{name} is {flag}: nothing gets riskier", "{name}: {flag}. 위험을 높이지 않습니다"),
        "tightened": (
            "the move to {target} waits; its limits hold already",
            "{target} 전환은 대기 중이며 그 한도는 이미 적용됩니다",
        ),
        "flapping": ("{count} changes of state in 30 days", "30일 동안 상태가 {count}번 바뀌었습니다"),
        "stuck": ("DEFENSIVE for more than {days} days", "DEFENSIVE가 {days}일 넘게 이어지고 있습니다"),
        "rule_raised": (
            "rule {rule} has failed {count} times in a row: {error}",
            "규칙 {rule}이(가) 연속 {count}번 실패: {error}",
        ),
        "account_old": (
            "the account was valued {seconds} s ago, in the session",
            "장중인데 계좌 평가가 {seconds}초 전의 값입니다",
        ),
        # rebalancing
        "budget_used": (
            "the day's limit of {limit} for moves between pools is used up",
            "자금 풀 간 이동의 하루 한도 {limit}을(를) 모두 썼습니다",
        ),
        "carried": ("the rebalance has been carried over {count} times", "리밸런싱이 {count}번 이월되었습니다"),
        "out_of_range": (
            "{pool} holds {share} of the equity on two checks in a row, outside {least} to {most}",
            "{pool} 비중이 두 번 연속 {share}(으)로 {least}~{most} 범위를 벗어났습니다",
        ),
        # recorded history
        "history_no_file": ("no such file", "파일이 없습니다"),
        "history_unreadable": ("a file that cannot be read ({reason})", "읽을 수 없는 파일({reason})"),
        "history_file_expected": ("a CSV file of daily closes", "일별 종가 CSV 파일"),
        "history_hint": (
            "VIX: `DATE,OPEN,HIGH,LOW,CLOSE`; index: `date,close`; one day a row, such as 2008-09-15",
            "VIX는 `DATE,OPEN,HIGH,LOW,CLOSE`, 지수는 `date,close`. 한 행에 하루, 날짜는 2008-09-15 형식",
        ),
        "history_columns": ("{count} columns", "열 {count}개"),
        "history_day_expected": ("a day such as 2008-09-15", "2008-09-15 형식의 날짜"),
        "history_value_expected": ("a number above 0", "0보다 큰 수"),
        "history_most": (", at most {most}", ", 최대 {most}"),
        "history_order": ("{day} after {last}", "{last} 다음에 {day}"),
        "history_order_expected": ("every day once, ascending", "날짜마다 한 번씩 오름차순"),
        "history_empty": ("no rows", "행이 없습니다"),
        "history_empty_expected": ("then at least one row", "그다음에 한 행 이상"),
        "history_apart": ("a VIX from {first} to {last}", "{first}~{last}의 VIX"),
        "history_apart_expected": (
            "one that overlaps the index, {first} to {last}",
            "지수 기간({first}~{last})과 겹치는 VIX",
        ),
        "history_apart_hint": ("choose files of the same years", "같은 기간의 파일을 고르십시오"),
        "history_out": ("a directory that cannot be written ({reason})", "쓸 수 없는 디렉터리({reason})"),
        "history_out_expected": ("a place for the results", "결과를 쓸 위치"),
        "history_out_hint": ("choose another `--out`", "다른 `--out`을 지정하십시오"),
        "history_done": (
            "{days} sessions, {first} to {last}; wrote {files} to {out}",
            "{first}~{last} {days}거래일. {out}에 {files} 저장",
        ),
    }
)
