"""What configuration errors say, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # files
        "dir_missing": ("there is no configuration directory {path}", "설정 디렉터리 {path}이(가) 없습니다"),
        "dir_expected": ("a directory that holds the configuration files", "설정 파일이 있는 디렉터리"),
        "dir_hint": (
            "check the path, or leave it out to run on the shipped configuration",
            "경로를 확인하거나, 생략하여 기본 제공 설정을 사용하십시오",
        ),
        "unreadable": ("the file cannot be read: {reason}", "파일을 읽을 수 없습니다: {reason}"),
        "readable_expected": ("a readable text file in UTF-8", "읽을 수 있는 UTF-8 텍스트 파일"),
        "readable_hint": ("check the file's permissions and encoding", "파일의 권한과 인코딩을 확인하십시오"),
        "syntax": ("the file is not valid {kind}: {reason}", "올바른 {kind} 파일이 아닙니다: {reason}"),
        "syntax_expected": ("valid {kind}", "올바른 {kind}"),
        "syntax_hint": ("correct the marked place", "표시된 위치를 고치십시오"),
        "duplicate": (
            "key {key} stands twice, in line {first} and line {line}",
            "키 {key}이(가) {first}행과 {line}행에 두 번 나옵니다",
        ),
        "duplicate_expected": ("each key at most once", "키마다 한 번만"),
        "duplicate_hint": ("remove one of the two", "둘 중 하나를 지우십시오"),
        "unknown_file": ("file {file} is not one that is read", "{file} 파일은 읽는 파일이 아닙니다"),
        "unknown_file_expected": ("one of {known}", "다음 중 하나: {known}"),
        "unknown_file_hint": ("rename or remove it", "이름을 바꾸거나 지우십시오"),
        # keys
        "unknown_key": ("unknown key {key}", "알 수 없는 키 {key}"),
        "unknown_key_expected": ("one of the keys of this place: {known}", "이 위치의 키 중 하나: {known}"),
        "key_lives": ("this key belongs into {file}", "이 키는 {file} 파일에 속합니다"),
        "key_list_hint": (
            "`qts-engine config show` lists every key",
            "`qts-engine config show`가 모든 키를 보여 줍니다",
        ),
        "missing_key": ("key {key} is missing", "키 {key}이(가) 없습니다"),
        "missing_key_expected": ("a value for it", "그 키의 값"),
        "missing_key_hint": ("add it; meaning: {meaning}", "추가하십시오. 의미: {meaning}"),
        # values
        "value": ("{key} is {value}", "{key} 값이 {value}입니다"),
        "flag": (
            "true or false (also yes/no, on/off, y/n, 1/0)",
            "true 또는 false (yes/no, on/off, y/n, 1/0도 가능)",
        ),
        "whole": ("a whole number without separators", "구분 기호 없는 정수"),
        "number": ("a decimal number without separators", "구분 기호 없는 십진수"),
        "fraction": ("a fraction from 0 to 1", "0에서 1 사이의 비율"),
        "fraction_hint": (
            "fractions, not percent: write {suggestion}",
            "퍼센트가 아닌 비율입니다: {suggestion}로 쓰십시오",
        ),
        "portion": (
            "a fraction from 0 to 1 with at most four decimals",
            "0에서 1 사이의 비율, 소수점 아래 네 자리까지",
        ),
        "word": ("text", "문자열"),
        "clock_time": ("a time of day as HH:MM", "HH:MM 형식의 시각"),
        "day": ("a date as YYYY-MM-DD", "YYYY-MM-DD 형식의 날짜"),
        "symbols": ("a list of symbols", "종목 코드 목록"),
        "flatten_code": (
            "FS codes, but none that says that the figures may be wrong (FS070, FS071, FS081, FS084, FS099)",
            "FS 코드. 수치를 믿을 수 없다는 코드(FS070, FS071, FS081, FS084, FS099)는 제외",
        ),
        "at_least": ("at least {limit}", "{limit} 이상"),
        "at_most": ("at most {limit}", "{limit} 이하"),
        "above": ("more than {limit}", "{limit} 초과"),
        "below": ("less than {limit}", "{limit} 미만"),
        "one_of": ("one of {known}", "다음 중 하나: {known}"),
        "mapping": ("a mapping of keys to values", "키와 값의 목록"),
        "sequence": ("a list", "목록"),
        "not_empty": ("at least {count} entries", "항목 {count}개 이상"),
        "value_hint": ("meaning: {meaning}", "의미: {meaning}"),
        "ordered": ("{order}", "{order}"),
        "ordered_hint": ("bring the values into order", "값의 순서를 맞추십시오"),
        "whole_hint": ("let the shares add up to 1", "비중의 합이 1이 되게 하십시오"),
        "needs": ("{key} is not set", "{key}이(가) 지정되지 않았습니다"),
        "needs_expected": ("a value, because of {because}", "{because}에는 값이 필요함"),
        "needs_hint": ("set it, or change the other key", "값을 지정하거나 다른 키를 바꾸십시오"),
        "correct_value": ("correct the value", "값을 고치십시오"),
        # reference data
        "no_such_row": (
            "{key} names {value}, which {file} does not define",
            "{key}의 {value}은(는) {file}에 없습니다",
        ),
        "no_such_row_hint": (
            "define it there, or name an existing one",
            "그 파일에 추가하거나 있는 이름을 쓰십시오",
        ),
        "no_synth": (
            "{key} names {value}, which has no `synth` block in {file}",
            "{key}의 {value}은(는) {file}에 `synth` 항목이 없습니다",
        ),
        "no_synth_expected": (
            "an instrument with parameters for the simulated market",
            "모의 시장 매개변수가 있는 종목",
        ),
        "no_synth_hint": ("add the block, or leave the symbol out", "항목을 추가하거나 종목을 빼십시오"),
        # capital
        "target_outside": (
            "{key} is {value}, outside the range of {state}",
            "{key} 값이 {value}(으)로 {state} 상태의 범위를 벗어났습니다",
        ),
        "target_outside_expected": (
            "{least} to {most}, as operating_state.properties.{section}.{pool}_allocation_range in state.yaml has it",
            "{least}~{most} (state.yaml의 operating_state.properties.{section}.{pool}_allocation_range)",
        ),
        "target_outside_hint": (
            "change the target, or the range of the state",
            "목표를 바꾸거나 그 상태의 범위를 바꾸십시오",
        ),
        "stop_band": (
            "{key} is {value}, not more than the band at which a rebalance ends",
            "{key} 값이 {value}(으)로 리밸런싱을 끝내는 폭보다 크지 않습니다",
        ),
        "stop_band_expected": (
            "more than operating_state.rebalance.stop_band_pct ({band}) of state.yaml",
            "state.yaml의 operating_state.rebalance.stop_band_pct({band})보다 큰 값",
        ),
        "action_twice": (
            "{key} has the {field} {day} of row {first}",
            "{key}의 {field} {day}이(가) {first}번 항목과 같습니다",
        ),
        "action_twice_expected": ("one row for each {field} of a symbol", "종목의 {field}마다 항목 하나"),
        "action_twice_hint": (
            "remove one of the two; add amounts that are paid together",
            "둘 중 하나를 지우십시오. 함께 지급되는 금액은 합치십시오",
        ),
        "dividend_currency": (
            "{currency}, the currency of {symbol}",
            "{currency} ({symbol}의 통화)",
        ),
        "idle_split": (
            "{key} makes {count} shares of {count}",
            "{key}은(는) {count}주를 {count}주로 바꿉니다",
        ),
        "idle_split_expected": ("a numerator that is not the denominator", "denominator와 다른 numerator"),
        # keys of parts that are not built
        "not_built": (
            "{key} is set to {value}, but nothing reads it in this version",
            "{key} 값을 {value}(으)로 정했으나 이 버전에는 그 값을 읽는 부분이 없습니다",
        ),
        "not_built_expected": ("its default, {value}", "기본값 {value}"),
        "not_built_hint": ("leave the key out", "키를 지우십시오"),
        # environment
        "environment": ("environment", "환경 변수"),
        "variable": ("{name} sets no key", "{name}에 해당하는 키가 없습니다"),
        "variable_expected": (
            "QTS_ and a key in capitals with __ for its dots",
            "QTS_ 다음에 대문자 키, 점은 __로",
        ),
        "looser": (
            "{variable} loosens {key} from {old} to {new}",
            "{variable}이(가) {key}을(를) {old}에서 {new}(으)로 완화합니다",
        ),
        "looser_expected": (
            "the environment tightens a limit of {file}, or leaves it alone",
            "환경 변수는 {file}의 한도를 더 엄격하게만 바꿀 수 있습니다",
        ),
        "looser_hint": (
            "change the file, or take the variable away",
            "파일을 고치거나 환경 변수를 지우십시오",
        ),
        # secrets
        "secrets_mode": (
            "{path} may be used by others (mode {mode})",
            "{path} 파일을 다른 사용자가 쓸 수 있습니다 (권한 {mode})",
        ),
        "secrets_mode_expected": ("a file of its owner alone, mode 0600", "소유자만 쓰는 파일, 권한 0600"),
        "secrets_mode_hint": (
            "chmod 600 {path}, and replace the secrets if others could have read them",
            "chmod 600 {path} 실행. 노출되었을 수 있으면 비밀 값을 교체하십시오",
        ),
        "secrets_owner": ("{path} belongs to user {uid}", "{path}의 소유자가 사용자 {uid}입니다"),
        "secrets_owner_expected": ("a file of the user who runs the engine", "엔진을 실행하는 사용자의 파일"),
        "secrets_kind": ("{path} is no plain file", "{path}은(는) 일반 파일이 아닙니다"),
        "secrets_kind_expected": ("a plain file, not a link or directory", "링크나 디렉터리가 아닌 일반 파일"),
        "secrets_line": (
            "a line that is no NAME=value with a known name",
            "알려진 이름의 NAME=값 형식이 아닌 줄입니다",
        ),
        "secrets_line_expected": ("NAME=value, a name once, of {known}", "NAME=값, 이름은 한 번만: {known}"),
        "secrets_twice": (
            "{name} stands in {path} and in the environment",
            "{name}이(가) {path}와 환경 변수에 모두 있습니다",
        ),
        "secrets_twice_expected": ("a secret in one place", "비밀 값은 한 곳에만"),
        "secrets_mixed": (
            "keys for live and for simulated trading of {broker} in one process",
            "한 프로세스에 {broker}의 실전 키와 모의 키가 함께 있습니다",
        ),
        "secrets_mixed_expected": ("the keys of one of the two", "둘 중 하나의 키만"),
        "secrets_missing": ("there is no {names}", "{names}이(가) 없습니다"),
        "secrets_missing_expected": (
            "the secret in the environment or in {path}",
            "환경 변수 또는 {path}에 비밀 값",
        ),
        # live gate
        "gate_closed": ("the live gate is closed: {reasons}", "실거래 관문이 닫혀 있습니다: {reasons}"),
        "gate_expected": ("every condition of the live gate holds", "실거래 관문의 모든 조건 충족"),
        "gate_hint": ("run in paper mode", "모의 모드로 실행하십시오"),
        # reload
        "reload_same": ("nothing has changed", "바뀐 것이 없습니다"),
        "reload_restart": ("{keys} take effect at a restart only", "{keys}은(는) 다시 시작해야 적용됩니다"),
        "reload_restart_expected": (
            "changes to keys that a running engine can take",
            "실행 중인 엔진이 받을 수 있는 키의 변경",
        ),
        "reload_restart_hint": (
            "take those changes back, or stop the engine and start it again",
            "그 변경을 되돌리거나 엔진을 멈추고 다시 시작하십시오",
        ),
        "reload_reference": ("reference data ({tables})", "기준 데이터 ({tables})"),
        "reload_positions": (
            "{keys} would change while {count} positions are open",
            "포지션 {count}개가 열려 있는 동안 {keys}을(를) 바꾸려 합니다",
        ),
        "reload_positions_unknown": (
            "{keys} would change while it is unknown whether positions are open",
            "열린 포지션이 있는지 알 수 없는데 {keys}을(를) 바꾸려 합니다",
        ),
        "reload_positions_expected": (
            "no open position, or limits made stricter",
            "열린 포지션이 없거나, 한도를 더 엄격하게 바꾸는 변경",
        ),
        "reload_positions_hint": ("close the positions first", "먼저 포지션을 정리하십시오"),
        "reload_confirm": ("{keys} are dangerous to change", "{keys}은(는) 바꾸기 위험한 키입니다"),
        "reload_confirm_expected": ("a second confirmation", "두 번째 확인"),
        "reload_confirm_hint": (
            "look at the changes, then reload with --confirm",
            "변경을 확인한 뒤 --confirm으로 다시 실행하십시오",
        ),
        "reload_safety": (
            "the safety state is {state}, in which only {groups} may change",
            "안전 상태가 {state}이므로 {groups}만 바꿀 수 있습니다",
        ),
        "reload_safety_hint": ("release the state first", "먼저 상태를 해제하십시오"),
        "reload_mix": (
            "{keys} would hold before the rest of the changes does",
            "{keys}이(가) 나머지 변경보다 먼저 적용됩니다",
        ),
        "reload_audit": (
            "the change could not be recorded: {reason}",
            "변경을 기록하지 못했습니다: {reason}",
        ),
        "reload_audit_expected": ("an audit trail that can be written", "쓸 수 있는 감사 기록"),
        "reload_reason": ("no reason is given", "변경 사유가 없습니다"),
        "reload_reason_expected": ("why the configuration is changed", "설정을 바꾸는 이유"),
        # overrides and totals
        "override_where": ("override", "재정의"),
        "more": (
            "{hint}; {count} more with `qts-engine config check`",
            "{hint}; `qts-engine config check`로 {count}건 더 확인",
        ),
    }
)
