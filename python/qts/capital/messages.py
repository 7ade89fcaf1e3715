"""What the capital room says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # settings
        "amount_unfit": (
            "{key} is {value}, which is no whole number of units of {currency}",
            "{key} 값 {value}은(는) {currency} 최소 단위의 정수배가 아닙니다",
        ),
        "amount_unfit_expected": ("an amount of at most {scale} decimals", "소수점 아래 {scale}자리까지의 금액"),
        # input of an evaluation
        "pools_given": ("pools {pools}", "풀 {pools}"),
        "pools_expected": ("exactly SCALP, SWING and PORTFOLIO", "정확히 SCALP, SWING, PORTFOLIO"),
        "pools_hint": ("give a snapshot of each pool", "풀마다 스냅샷을 하나씩 주십시오"),
        "pool_crossed": ("pool {key} given as {pool}", "풀 {key} 자리에 {pool}"),
        "amount_negative": ("an amount of {amount}", "금액 {amount}"),
        "amount_negative_expected": ("an amount of 0 or more", "0 이상의 금액"),
        # fail-safe
        "total_gone": (
            "total capital {capital}, total equity {equity}",
            "총자본 {capital}, 총 평가 자산 {equity}",
        ),
        "negative": ("{pool}: {component} is {amount}", "{pool}: {component} 값이 {amount}입니다"),
        "invested_over": (
            "{pool}: invested {invested} exceeds its total of {total}",
            "{pool}: 투자금 {invested}이(가) 총액 {total}을(를) 넘습니다",
        ),
        "parts_differ": (
            "{pool}: its parts add up to {parts}, its total is {total}",
            "{pool}: 항목의 합은 {parts}, 총액은 {total}입니다",
        ),
        "drawdown": (
            "{pool}: drawdown of {drawdown}, more than {limit}",
            "{pool}: 낙폭 {drawdown}, 한도 {limit} 초과",
        ),
        "lockdown": ("the safety state is LOCKDOWN: all pools are locked", "안전 상태가 LOCKDOWN: 모든 풀을 잠금"),
        "failed": (
            "the capital evaluation has failed {count} times in a row: {error}",
            "자본 평가가 연속 {count}번 실패했습니다: {error}",
        ),
        # guardrails
        "targets_put_right": (
            "the targets of {state} add up to {sum}; put right in proportion",
            "{state} 상태의 목표 비중 합이 {sum}입니다. 비례하여 바로잡았습니다",
        ),
        "targets_kept": (
            "the targets of {state} add up to {sum}; the last good ones stay",
            "{state} 상태의 목표 비중 합이 {sum}입니다. 직전의 올바른 목표를 유지합니다",
        ),
        "below_share": (
            "{pool} holds {share} of the capital, less than {limit}",
            "{pool} 비중이 {share}(으)로 {limit}보다 작습니다",
        ),
        "below_amount": (
            "{pool} holds {total}, less than {limit}: no entries",
            "{pool} 자본이 {total}(으)로 {limit}보다 작아 진입을 멈춥니다",
        ),
        "above_share": (
            "{pool} holds {share} of the capital, more than {limit}",
            "{pool} 비중이 {share}(으)로 {limit}보다 큽니다",
        ),
        "would_exceed": (
            "{pool} takes {room} of {amount}: its share may not exceed {limit}",
            "{pool}: {amount} 가운데 {room}만 받습니다. 비중 한도 {limit}",
        ),
        "reduced": (
            "{pool} has {available} available for a promotion of {amount}",
            "{pool}: 승격 금액 {amount}, 가용 금액 {available}",
        ),
        "day_full": (
            "{left} of the day's limit of {limit} is left for a transfer of {amount}",
            "이체 {amount}: 하루 한도 {limit} 가운데 남은 금액은 {left}",
        ),
        "drift": (
            "{pool} is {drift} away from its target share of {target}",
            "{pool} 비중이 목표 {target}에서 {drift}만큼 벗어났습니다",
        ),
        "metric": (
            "{pair}: {metric} is {reason}; the criterion is not met",
            "{pair}: {metric} {reason}. 기준 미충족으로 봅니다",
        ),
        "metric_missing": ("missing", "없음"),
        "metric_stale": ("{age} sessions old", "{age}거래일 지남"),
        "metric_future": ("of a later session", "이후 거래일의 값"),
        "metric_samples": ("taken from {count} samples of {least}", "표본 {count}개(최소 {least}개)"),
        "deferred": ("{move} waits: {reason}", "{move} 보류: {reason}"),
        "rebalance": ("the rebalance", "리밸런싱"),
        "because_safety": ("the safety state is {state}", "안전 상태가 {state}입니다"),
        "because_defensive": ("the operating state is DEFENSIVE", "운영 상태가 DEFENSIVE입니다"),
        "because_pool": ("{pool} is {state} ({cause})", "{pool}이(가) {state}입니다 ({cause})"),
        "because_codes": ("{codes} is not resolved", "{codes} 미해소"),
        "because_state": (
            "a rebalance is under way, or the operating state has changed within 24 hours",
            "리밸런싱이 진행 중이거나 운영 상태가 24시간 안에 바뀌었습니다",
        ),
        "because_pair": (
            "another move between the two comes first today",
            "오늘은 두 풀 사이의 다른 이동이 먼저입니다",
        ),
    }
)
