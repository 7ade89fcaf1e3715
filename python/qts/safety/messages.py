"""What the safety room says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

_REFUSALS: Final[dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]]] = {
    # who
    "unknown_operator": (
        ("there is no operator {operator!r}", "운영자 {operator!r}이(가) 없습니다"),
        ("an operator of {path}", "{path}에 등록된 운영자"),
        ("check the id, or have the account added", "아이디를 확인하거나 계정을 등록하십시오"),
    ),
    "wrong_secret": (
        ("the secret of operator {operator!r} is wrong", "운영자 {operator!r}의 비밀번호가 틀렸습니다"),
        ("the secret that the account was added with", "계정을 등록할 때 정한 비밀번호"),
        ("try again; every attempt is recorded", "다시 시도하십시오. 모든 시도는 기록됩니다"),
    ),
    "weak_secret": (
        (
            "the id {operator!r} or its secret is too short or holds what cannot be typed",
            "아이디 {operator!r} 또는 비밀번호가 너무 짧거나 입력할 수 없는 문자가 있습니다",
        ),
        (
            "an id, and a secret of at least {least} printable characters, without a blank at either end",
            "아이디와 인쇄 가능한 {least}자 이상의 비밀번호 (앞뒤 공백 없이)",
        ),
        ("choose a longer secret", "더 긴 비밀번호를 정하십시오"),
    ),
    "operator_exists": (
        ("there is an operator {operator!r} already", "운영자 {operator!r}이(가) 이미 있습니다"),
        ("an id that is not in {path}", "{path}에 없는 아이디"),
        (
            "`qts-engine operator secret` changes a secret; a person with two roles has two ids",
            "비밀번호는 `qts-engine operator secret`로 바꿉니다. 역할이 둘이면 아이디도 둘입니다",
        ),
    ),
    "secret_in_use": (
        ("another operator has this secret, or it is the old one", "다른 운영자의 비밀번호이거나 기존 비밀번호입니다"),
        ("a secret of its own for each id", "아이디마다 별도의 비밀번호"),
        ("choose another secret", "다른 비밀번호를 정하십시오"),
    ),
    "trail_damaged": (
        ("the audit trail {path} is damaged or has lost lines", "감사 기록 {path}이(가) 손상되었거나 누락되었습니다"),
        ("a whole trail to record the change in", "변경을 기록할 수 있는 온전한 감사 기록"),
        (
            "`qts-engine audit verify` names the line; keep a copy, start the engine once, then try again",
            "`qts-engine audit verify`로 위치를 확인하십시오. 사본을 보관하고 엔진을 한 번 시작한 뒤 다시 시도하십시오",
        ),
    ),
    "open_credentials": (
        ("others can read {path} (mode {mode})", "다른 사용자가 {path}을(를) 읽을 수 있습니다 (권한 {mode})"),
        ("mode 0600", "권한 0600"),
        (
            "run `chmod 600` on it and change every secret in it",
            "`chmod 600`을 실행하고 그 안의 모든 비밀번호를 바꾸십시오",
        ),
    ),
    "unreadable_credentials": (
        ("{path} cannot be read: {error}", "{path}을(를) 읽을 수 없습니다: {error}"),
        ("the file of operators", "운영자 파일"),
        ("restore it from a backup, or add the operators anew", "백업에서 복원하거나 운영자를 다시 등록하십시오"),
    ),
    "role_required": (
        ("operator {operator!r} has the role {role}", "운영자 {operator!r}의 역할은 {role}입니다"),
        ("the role safety_officer", "safety_officer 역할"),
        ("use the credential of a safety officer", "안전 책임자의 자격으로 실행하십시오"),
    ),
    "another_operator": (
        ("{operator!r} did not make this request", "{operator!r}은(는) 이 요청을 한 사람이 아닙니다"),
        ("the operator who made it", "요청한 운영자"),
        ("let them confirm it, or make a request of your own", "그 운영자가 확인하거나 새로 요청하십시오"),
    ),
    # evidence
    "channel_not_allowed": (
        ("a release by {channel}", "{channel}을(를) 통한 해제"),
        ("the command line or the dashboard", "명령줄 또는 대시보드"),
        ("chat can engage protection and never release it", "채팅으로는 보호를 걸 수만 있고 해제할 수 없습니다"),
    ),
    "wrong_code": (
        ("code {code!r}", "코드 {code!r}"),
        ("{expected!r}, the code that is shown", "표시된 코드 {expected!r}"),
        (
            "read the status again: the cause may be another one now",
            "상태를 다시 확인하십시오. 원인이 바뀌었을 수 있습니다",
        ),
    ),
    "cause_too_short": (
        ("a cause of {length} characters", "{length}자의 원인"),
        ("at least {least} characters", "{least}자 이상"),
        ("say what was wrong and what was done about it", "무엇이 잘못되었고 어떻게 조치했는지 적으십시오"),
    ),
    "wrong_phrase": (
        ("the typed phrase is wrong", "입력한 문구가 틀렸습니다"),
        ("the account alias, a blank, and the code", "계정 별칭, 공백, 코드"),
        ("type it yourself, do not paste it", "붙여넣지 말고 직접 입력하십시오"),
    ),
    "check_failed": (
        ("not green: {checks}", "통과하지 못한 점검: {checks}"),
        ("every release check green", "모든 해제 점검 통과"),
        ("remove the cause and try again", "원인을 없애고 다시 시도하십시오"),
    ),
    "check_absent": (
        ("nothing provides these checks: {checks}", "다음 점검을 제공하는 것이 없습니다: {checks}"),
        ("a check of each", "각 점검"),
        ("start the engine with what provides them", "점검을 제공하는 구성으로 엔진을 시작하십시오"),
    ),
    # time
    "cool_down": (
        ("the request is too young; {left_s} s are left", "요청 후 시간이 부족합니다. {left_s}초 남았습니다"),
        ("60 s between request and effect", "요청과 효력 사이 60초"),
        ("look at the state once more and confirm then", "상태를 다시 확인한 뒤 확정하십시오"),
    ),
    "request_expired": (
        ("the request is older than {life_s} s", "요청이 {life_s}초를 넘었습니다"),
        ("a confirmation before that", "그 전의 확정"),
        ("make a new request", "다시 요청하십시오"),
    ),
    "no_request": (
        ("there is no such request", "그런 요청이 없습니다"),
        ("the nonce of the request that waits", "대기 중인 요청의 번호"),
        ("make a request first; a restart voids it", "먼저 요청하십시오. 재시작하면 요청은 무효가 됩니다"),
    ),
    "fault_since_request": (
        ("another fault came after the request", "요청 이후 다른 장애가 발생했습니다"),
        ("no fault since the request", "요청 이후 장애 없음"),
        ("read the codes again and make a new request", "코드를 다시 확인하고 새로 요청하십시오"),
    ),
    "clock_stepped": (
        ("the wall clock was stepped by {step_ms} ms since the request", "요청 이후 시계가 {step_ms} ms 바뀌었습니다"),
        ("a wall clock that runs on", "연속으로 흐르는 시계"),
        ("find out what set the clock and make a new request", "시계를 바꾼 원인을 확인하고 새로 요청하십시오"),
    ),
    # state
    "not_listed": (
        ("nothing to release in this state", "이 상태에서는 해제할 것이 없습니다"),
        ("WARNING or FAIL to acknowledge, LOCKDOWN to approve", "확인은 WARNING 또는 FAIL, 승인은 LOCKDOWN 상태"),
        ("look at the state first", "먼저 상태를 확인하십시오"),
    ),
    "lockdown_requires_operator_approval": (
        ("an acknowledgement does not end LOCKDOWN", "확인만으로는 LOCKDOWN이 끝나지 않습니다"),
        ("the approval of a safety officer", "안전 책임자의 승인"),
        ("use `approve`", "`approve`를 사용하십시오"),
    ),
    "kill_switch_engaged": (
        ("the kill switch is engaged", "킬 스위치가 걸려 있습니다"),
        ("a kill switch that has been released", "해제된 킬 스위치"),
        ("release it first, then approve", "먼저 해제한 다음 승인하십시오"),
    ),
    "kill_switch_not_engaged": (
        ("the kill switch is not engaged", "킬 스위치가 걸려 있지 않습니다"),
        ("a kill switch that is engaged", "걸려 있는 킬 스위치"),
        ("nothing to do", "할 일이 없습니다"),
    ),
    "kill_switch_disarmed": (
        ("the kill switch is not armed", "킬 스위치가 비활성화되어 있습니다"),
        ("kill_switch.armed = true", "kill_switch.armed = true"),
        ("stop the engine, or arm the switch and restart", "엔진을 멈추거나 스위치를 활성화하고 재시작하십시오"),
    ),
    "sentinel_present": (
        ("the file KILL cannot be removed: {error}", "KILL 파일을 지울 수 없습니다: {error}"),
        ("a directory that can be written", "쓸 수 있는 디렉터리"),
        ("remove the file by hand and release again", "파일을 직접 지우고 다시 해제하십시오"),
    ),
    "changed_meanwhile": (
        ("the state changed while it was being released", "해제하는 동안 상태가 바뀌었습니다"),
        ("a state that stands still", "변하지 않는 상태"),
        ("look at the state and try again", "상태를 확인하고 다시 시도하십시오"),
    ),
    "not_recorded": (
        ("the release could not be recorded: {error}", "해제를 기록할 수 없습니다: {error}"),
        ("a disk that takes records", "기록할 수 있는 디스크"),
        ("repair the disk; nothing was released", "디스크를 복구하십시오. 아무것도 해제되지 않았습니다"),
    ),
}

say: Final = Phrasebook(
    {
        **{
            f"{key}{suffix}": texts
            for key, group in _REFUSALS.items()
            for suffix, texts in zip(("", "_expected", "_hint"), group, strict=True)
        },
        "held": (
            "another process holds the safety state in {path}",
            "다른 프로세스가 {path}의 안전 상태를 쓰고 있습니다",
        ),
        "held_expected": ("one engine for one home", "홈 하나에 엔진 하나"),
        "writable": ("a writable {path}", "쓸 수 있는 {path}"),
        "no_engine_expected": (
            "no running engine while operators are changed",
            "운영자를 바꾸는 동안 실행 중인 엔진이 없어야 합니다",
        ),
        "no_engine_hint": (
            "`qts-engine stop`, change the operators, start again; a restart releases nothing",
            "`qts-engine stop` 후 운영자를 바꾸고 다시 시작하십시오. 재시작으로 해제되는 것은 없습니다",
        ),
        "held_hint": (
            "stop the other engine, or set QTS_HOME to another directory",
            "다른 엔진을 멈추거나 QTS_HOME을 다른 디렉터리로 지정하십시오",
        ),
    }
)

_NEWS: Final = {
    "channel_failed": ("a channel of notices does not take them", "알림 채널이 알림을 받지 못합니다"),
    "outbox_failed": ("notices cannot be kept on disk", "알림을 디스크에 보관할 수 없습니다"),
    "acknowledged": ("acknowledged by an operator", "운영자가 확인함"),
    "approved": ("LOCKDOWN released by a safety officer", "안전 책임자가 LOCKDOWN을 해제함"),
    "quiet": ("WARNING ended after a quiet time", "조용한 시간이 지나 WARNING이 끝남"),
    "kill": ("kill switch engaged", "킬 스위치 작동"),
    "kill_released": ("kill switch released", "킬 스위치 해제"),
    "kill_disarmed": ("the kill switch is not armed", "킬 스위치가 비활성화되어 있음"),
    "restored": ("state restored after a restart", "재시작 후 상태 복원"),
    "refused": ("a release was refused", "해제가 거부됨"),
    "storage_failed": ("the safety state cannot be kept on disk", "안전 상태를 디스크에 보관할 수 없음"),
    "raises_lost": ("faults were raised faster than they could be recorded", "장애가 기록보다 빠르게 발생함"),
    "suspended": ("suspended", "정지됨"),
    "lifted": ("suspension lifted", "정지가 풀림"),
    "safe_mode_on": ("safe mode on: decisions are made and not sent", "안전 모드 켜짐: 결정만 하고 주문하지 않음"),
    "safe_mode_off": ("safe mode off", "안전 모드 꺼짐"),
    "listener_failed": ("a part that listens to the state failed", "상태를 듣는 부분에서 오류가 발생함"),
}
news: Final = Phrasebook(_NEWS)


def both(key: str) -> tuple[str, str]:
    """Return a piece of news in English and Korean: a notice carries both."""
    return _NEWS[key]


def refusal(reason: str, **fields: object) -> tuple[str, str, str]:
    """Return found, expected and hint of a refusal, in the user's language."""
    return (
        say(reason, **fields),
        say(f"{reason}_expected", **fields),
        say(f"{reason}_hint", **fields),
    )


def refusals() -> frozenset[str]:
    """Return every reason that a refusal can have."""
    return frozenset(_REFUSALS)
