"""What the operator's desk says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # the place
        "already_runs": (
            "an engine runs already in {home} (process {pid})",
            "{home}에서 이미 엔진이 실행 중입니다 (프로세스 {pid})",
        ),
        "one_engine": ("one engine for each QTS_HOME", "QTS_HOME마다 엔진 하나"),
        "already_hint": (
            "`qts-engine status` shows it, `qts-engine stop` ends it; for a second engine set another QTS_HOME",
            "`qts-engine status`로 보고 `qts-engine stop`으로 끝냅니다. 둘째 엔진은 다른 QTS_HOME에서 실행하십시오",
        ),
        "foreign_dir": ("{path} belongs to user {uid}", "{path}의 소유자가 사용자 {uid}입니다"),
        "own_dir": ("a directory of the user who runs the engine", "엔진을 실행하는 사용자의 디렉터리"),
        "home_hint": ("remove it, or set QTS_HOME to another directory", "지우거나 QTS_HOME을 다르게 지정하십시오"),
        "unusable": ("{path} cannot be used: {reason}", "{path}을(를) 쓸 수 없습니다: {reason}"),
        # the client
        "no_engine": ("no engine runs in {home}", "{home}에서 실행 중인 엔진이 없습니다"),
        "no_engine_expected": ("a running engine", "실행 중인 엔진"),
        "no_engine_hint": (
            "start one with `qts-engine run`, or set QTS_HOME to that of the engine you mean",
            "`qts-engine run`으로 시작하거나 해당 엔진의 QTS_HOME을 지정하십시오",
        ),
        "no_way": ("the engine's socket cannot be opened: {reason}", "엔진 소켓을 열 수 없습니다: {reason}"),
        "no_way_expected": ("the user who runs the engine, or root", "엔진을 실행하는 사용자 또는 root"),
        "no_answer": ("the engine does not answer within {seconds} s", "엔진이 {seconds}초 안에 응답하지 않습니다"),
        "answer_expected": ("an answer", "응답"),
        "no_answer_hint": (
            "try again; if it stays silent, close positions by hand in the broker's application",
            "다시 시도하십시오. 계속 응답이 없으면 증권사 프로그램에서 직접 포지션을 정리하십시오",
        ),
        "hung_up": ("the engine closed the connection without an answer", "엔진이 응답 없이 연결을 끊었습니다"),
        "hung_up_hint": (
            "`qts-engine status` shows whether it still runs",
            "`qts-engine status`로 실행 여부를 확인하십시오",
        ),
        "strange_answer": ("the engine answered {found}", "엔진의 응답: {found}"),
        "stopped": (
            "safety is {state} ({code}): no order of a strategy is sent; see qts-engine codes {code} and {hint}",
            "안전 상태가 {state}({code})입니다. 전략 주문을 내지 않습니다. qts-engine codes {code} 및 {hint} 참조",
        ),
        "no_kill_plan": (
            "K2 is engaged: nothing enters and working orders end; this version has no kill plan, positions stay open",
            "K2 작동. 진입이 막히고 미체결 주문이 취소됩니다. 이 버전에는 청산 계획이 없어 보유 종목은 그대로 남습니다",
        ),
        "still_stopping": (
            "the engine has not ended after {seconds} s",
            "{seconds}초가 지나도 엔진이 끝나지 않았습니다",
        ),
        "still_stopping_hint": (
            "it was asked to; `qts-engine status` shows where it stands",
            "종료를 요청했습니다. `qts-engine status`로 상태를 확인하십시오",
        ),
        # requests
        "syntax": ("the request is no JSON: {reason}", "요청이 JSON이 아닙니다: {reason}"),
        "syntax_expected": ("one JSON object on one line", "한 줄에 JSON 객체 하나"),
        "no_object": ("the request is {found}", "요청이 {found}입니다"),
        "too_long": ("a request of more than {most} bytes", "{most}바이트를 넘는 요청"),
        "too_long_expected": ("at most {most} bytes", "{most}바이트 이하"),
        "too_slow": ("no whole request within {seconds} s", "{seconds}초 안에 요청이 끝나지 않았습니다"),
        "too_slow_expected": ("one line for each request", "요청마다 한 줄"),
        "too_many": ("more than {most} connections at once", "동시 연결이 {most}개를 넘습니다"),
        "too_many_expected": ("a free place", "빈 자리"),
        "version": ("version {found} of the protocol", "프로토콜 버전 {found}"),
        "same_release": (
            "use the qts-engine of the same release as the running engine",
            "실행 중인 엔진과 같은 버전의 qts-engine을 쓰십시오",
        ),
        "verb": ("unknown verb {found}", "알 수 없는 명령 {found}"),
        "one_of": ("one of {known}", "다음 중 하나: {known}"),
        "args": ("args is {found}", "args 값이 {found}입니다"),
        "args_expected": ("an object of arguments", "인수 객체"),
        "no_args": ("no arguments", "인수 없음"),
        "unknown_arg": ("unknown argument {name}", "알 수 없는 인수 {name}"),
        "missing_arg": ("argument {name} is missing", "인수 {name}이(가) 없습니다"),
        "arg_expected": ("a value for {name}", "{name}의 값"),
        "wrong_arg": ("{name} is {found}", "{name} 값이 {found}입니다"),
        "a_str": ("1 to {most} printable characters", "인쇄 가능한 1~{most}자"),
        "a_int": ("a whole number of at least 0", "0 이상의 정수"),
        "a_bool": ("true or false", "true 또는 false"),
        "forbidden": (
            "user {uid} may not command this engine",
            "사용자 {uid}은(는) 이 엔진에 명령할 수 없습니다",
        ),
        "not_provided": (
            "this engine has no {part}, which `{verb}` needs",
            "이 엔진에는 `{verb}`에 필요한 {part}이(가) 없습니다",
        ),
        "not_provided_expected": ("one of {known}", "다음 중 하나: {known}"),
        "part_safety": ("safety state machine", "안전 상태 기계"),
        "part_state": ("operating state", "운영 상태"),
        "part_reload": ("reload of its configuration", "설정 다시 읽기 기능"),
        "failed": ("`{verb}` failed: {reason}", "`{verb}` 실패: {reason}"),
        "failed_expected": ("a command that ends without an error", "오류 없이 끝나는 명령"),
        "failed_hint": (
            "it is unknown whether it took effect: look at `qts-engine status`",
            "적용되었는지 알 수 없습니다. `qts-engine status`를 확인하십시오",
        ),
        "stop_asked": ("working orders end, the books are closed", "미체결 주문을 끝내고 장부를 닫습니다"),
        # the command line
        "unknown": ("unknown", "알 수 없음"),
        "applied": ("done", "적용됨"),
        "not_applied": ("refused", "거부됨"),
        "ended_unknown": ("the engine did not say how", "종료 상태를 알 수 없음"),
        "no_override": ("no override", "수동 지정 없음"),
        "duration": ("a time as 30m, 12h or 3d", "30m, 12h, 3d 형식의 기간"),
        "two_steps": ("neither the first step nor the second", "첫 단계도 둘째 단계도 아닙니다"),
        "two_steps_expected": (
            "CODE, --cause and --phrase to ask for it, or --nonce alone to confirm it",
            "요청하려면 CODE, --cause, --phrase, 확인하려면 --nonce만",
        ),
        "no_secret": ("no secret of an operator", "운영자의 비밀번호가 없습니다"),
        "no_secret_expected": (
            "a terminal to type it on, or QTS_OPERATOR_SECRET",
            "입력할 수 있는 터미널 또는 QTS_OPERATOR_SECRET",
        ),
        "secret": ("secret", "비밀번호"),
        "new_secret": ("new secret", "새 비밀번호"),
        "new_secret_again": ("the same again", "한 번 더 입력"),
        "typed_differently": ("two secrets that differ", "두 비밀번호가 다릅니다"),
        "typed_alike": ("the same secret twice", "같은 비밀번호 두 번"),
        "added": ("added {operator}", "{operator} 등록됨"),
        "secret_changed": ("changed the secret of {operator}", "{operator}의 비밀번호 변경됨"),
        "removed": ("removed {operator}", "{operator} 삭제됨"),
        "no_operators": ("no operators", "등록된 운영자 없음"),
        "no_officer": (
            "there is no safety_officer: nobody can release LOCKDOWN or the kill switch",
            "safety_officer가 없습니다. LOCKDOWN과 킬 스위치를 해제할 사람이 없습니다",
        ),
        "k3": ("K3 closes every position", "K3은 모든 포지션을 정리합니다"),
        "k3_expected": ("a confirmation", "확인"),
        "k3_hint": ("add --confirm", "--confirm을 붙이십시오"),
        # the engine's thread
        "engine_busy": ("the engine had no moment within {seconds} s", "엔진이 {seconds}초 안에 처리하지 못했습니다"),
        "engine_there": ("an engine that takes the command", "명령을 받을 수 있는 엔진"),
        "engine_over": ("the engine is ending", "엔진이 종료 중입니다"),
        "again": ("nothing has changed; try again", "바뀐 것이 없습니다. 다시 시도하십시오"),
    }
)
