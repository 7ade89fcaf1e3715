"""What the cache says, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        # records
        "field": ("{record}.{name} = {value}", "{record}.{name} = {value}"),
        "decimal": ("a finite Decimal or an int, never a float", "유한한 Decimal 또는 int(float 불가)"),
        "writer_hint": (
            "correct the writer; nothing was written",
            "기록하는 쪽을 고치십시오. 아무것도 쓰지 않았습니다",
        ),
        "src_expected": ("a name of 1 to {most} characters", "1~{most}자의 이름"),
        "a_side": ("both sides in continuous trading", "접속매매 중에는 양쪽 호가"),
        "level": ("price: Decimal > 0, quantity: int >= 0", "가격: 0보다 큰 Decimal, 수량: 0 이상의 int"),
        "best_first": ("levels best first, each price once", "최우선 호가부터, 같은 가격은 한 번"),
        "json": (
            "an object of text, whole numbers, Decimal, lists, objects",
            "문자, 정수, Decimal, 목록, 객체로 된 객체",
        ),
        "missing_field": ("{key} without {name}", "{key}에 {name} 없음"),
        "unreadable": ("{key}: {name} = {value}", "{key}: {name} = {value}"),
        "readable": ("a record of this version of the program", "이 프로그램 버전의 기록"),
        "key_hint": ("find out who writes this key", "누가 이 키를 쓰는지 찾으십시오"),
        "schema": ("{key} of schema {value}", "{key}의 스키마 {value}"),
        "bad_id": ("the name {value} in a key", "키의 이름 {value}"),
        "bad_id_expected": (
            "1 to 64 letters, digits and . _ - / @ +",
            "1~64자의 영문자, 숫자와 . _ - / @ +",
        ),
        "bad_ttl": ("a life of {value} ms", "유효 시간 {value}ms"),
        "bad_ttl_expected": ("a whole number of milliseconds, 1 or more", "1 이상의 정수 밀리초"),
        "bad_ttl_hint": ("correct the call; nothing was written", "호출을 고치십시오. 아무것도 쓰지 않았습니다"),
        "future_update": ("{key} updated {ms} ms in the future", "{key}의 갱신 시각이 {ms}ms 미래"),
        "not_future": ("a time that has come", "지난 시각"),
        # reads
        "no_quote": ("no live {kind} of {symbol}", "{symbol}의 유효한 {kind} 없음"),
        "live_quote": ("a {kind} of the last {ms} ms", "최근 {ms}ms 이내의 {kind}"),
        "feed_hint": ("check the feed if it lasts", "계속되면 시세 연결을 확인하십시오"),
        "stale": ("a {kind} of {symbol} of {ms} ms ago", "{symbol}의 {ms}ms 전 {kind}"),
        "from_future": ("a {kind} of {symbol} from {ms} ms in the future", "{symbol}의 {ms}ms 미래 {kind}"),
        "clock_hint": ("repair time synchronisation", "시각 동기화를 고치십시오"),
        "other_host": (
            "a {kind} of {symbol} from a host whose clock is {ms} ms off",
            "시계가 {ms}ms 어긋난 서버의 {symbol} {kind}",
        ),
        "unknown_state": ("{key} is unknown in every tier", "모든 계층에서 {key} 확인 불가"),
        "known_state": ("an answer of near cache, server or store", "근거리 캐시, 서버 또는 저장소의 응답"),
        "store_hint": (
            "check cache server and database, in this order",
            "캐시 서버와 데이터베이스를 차례로 확인하십시오",
        ),
        "no_time": ("no time left to ask the store for {key}", "저장소에 {key}를 물을 시간이 없음"),
        "overload": ("{count} queries to the store at once", "저장소 질의 {count}개 동시 진행"),
        "overload_expected": ("fewer than {count}", "{count}개 미만"),
        "loader_failed": ("the store failed for {key}: {reason}", "저장소에서 {key} 조회 실패: {reason}"),
        "held_back": (
            "a check for an entry in {symbol} while safety holds entries back",
            "안전 상태가 진입을 막는 동안 {symbol} 진입 점검",
        ),
        "held_back_expected": ("safety NORMAL or WARNING", "안전 상태 NORMAL 또는 WARNING"),
        "held_back_hint": ("see the safety state", "안전 상태를 확인하십시오"),
        # server
        "unreachable": ("cache server {node}: {reason}", "캐시 서버 {node}: {reason}"),
        "reachable": ("a server that answers", "응답하는 서버"),
        "server_hint": ("check the cache server", "캐시 서버를 확인하십시오"),
        "slow": ("no answer of cache server {node} in {ms} ms", "캐시 서버 {node}가 {ms}ms 동안 무응답"),
        "pool_empty": ("no free connection to {node} in {ms} ms", "{node}의 빈 연결이 {ms}ms 동안 없음"),
        "open": ("the breaker of cache server {node} is open", "캐시 서버 {node}의 차단기가 열림"),
        "wrong_type": ("{key}: another type than its family", "{key}: 정해진 것과 다른 형식"),
        "server_version": ("{node} runs version {value}", "{node}의 버전 {value}"),
        "server_version_expected": ("Redis or Valkey 7.0 or newer", "Redis 또는 Valkey 7.0 이상"),
        "server_setting": ("{node} has {name} = {value}", "{node}의 {name} = {value}"),
        "setting_hint": ("change the server's configuration", "서버 설정을 바꾸십시오"),
        "self_test": ("the self test of {node}: {what}", "{node}의 자체 시험: {what}"),
        "self_test_expected": (
            "a key of 50 ms that can be read and is gone after 80 ms",
            "읽을 수 있고 80ms 뒤에는 사라지는 50ms 키",
        ),
        "owned": ("the prefix {prefix} belongs to {owner}", "접두어 {prefix}의 주인은 {owner}"),
        "owned_expected": ("one trading process for a prefix", "접두어 하나에 거래 프로세스 하나"),
        "owned_hint": (
            "stop the other process or choose another key_prefix",
            "다른 프로세스를 멈추거나 다른 key_prefix를 고르십시오",
        ),
        "bad_prefix": ("the key prefix {value}", "키 접두어 {value}"),
        "bad_prefix_expected": (
            "1 to 96 letters, digits and . _ : -, with run mode and account in it",
            "실행 모드와 계좌가 들어간 1~96자의 영문자, 숫자와 . _ : -",
        ),
        "no_password": ("no password for the cache server at {host}", "캐시 서버 {host}의 암호 없음"),
        "no_password_expected": ("the secret REDIS_PASSWORD", "비밀 값 REDIS_PASSWORD"),
        "no_password_hint": ("set it in the environment or in secrets.env", "환경 변수나 secrets.env에 넣으십시오"),
        "no_redis": ("the package redis is not installed", "redis 패키지가 설치되어 있지 않음"),
        "no_redis_hint": ("install it, or set cache.backend to memory", "설치하거나 cache.backend를 memory로 두십시오"),
        # counter, operator
        "limit_reached": ("{count} entries on {day}", "{day} 진입 {count}회"),
        "limit_expected": ("fewer than {limit}", "{limit}회 미만"),
        "limit_hint": ("no more entries today", "오늘은 더 진입하지 않습니다"),
        "count_unknown": ("the number of entries on {day} is unknown", "{day}의 진입 횟수를 알 수 없음"),
        "count_expected": ("a number from the ledger", "원장의 횟수"),
        "count_hint": ("check ledger and database", "원장과 데이터베이스를 확인하십시오"),
        "flush_who": ("a flush without {name}", "{name} 없는 캐시 비우기"),
        "flush_who_expected": ("operator and reason", "운영자와 사유"),
        "flush_gate": ("a flush while entries are open", "진입이 열려 있는 동안의 캐시 비우기"),
        "flush_gate_expected": ("the gate for entries closed", "진입을 닫은 상태"),
        "flush_gate_hint": ("close the gate for entries first", "먼저 진입을 닫으십시오"),
        "flush_partial": (
            "a flush ended early after {count} keys: {reason}",
            "{count}개 키 뒤에 비우기 중단: {reason}",
        ),
        "flush_again": ("flush again once the server answers", "서버가 응답하면 다시 비우십시오"),
    }
)
