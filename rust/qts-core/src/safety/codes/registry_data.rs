//! Fail-safe codes of cache and data layer (spec 01 §3.3).

codes! {
    FS115 ["Position state unobtainable", "포지션 상태 확인 불가"] "19" "cache facade" "cache" Fail, "R";
    trigger ["position or risk state of the account unobtainable from every tier for more than 1 s in session", "장중 1초 넘게 모든 계층에서 계좌의 포지션이나 리스크 상태를 얻지 못함"];
    action ["entries are blocked; exits go by the owner's state or the broker", "진입을 막고 청산은 원본 상태나 증권사 값으로 진행"];
    release ["the state can be read again", "상태를 다시 읽을 수 있음"];
    next ["check cache and database, in this order", "캐시와 데이터베이스를 차례로 확인하십시오"];

    FS116 ["Cached position differs", "캐시 포지션 불일치"] "19" "cache facade" "cache" Fail, "R";
    trigger ["cached and authoritative quantity differ on 2 reads at equal version", "같은 버전에서 두 번 읽은 캐시 수량과 원본 수량이 다름"];
    action ["the position is reconciled", "포지션을 대사"];
    release ["both agree", "두 값이 일치"];
    next ["look for a foreign writer on the cache", "캐시에 쓰는 다른 프로세스가 있는지 찾으십시오"];

    FS120 ["Database unavailable", "데이터베이스 사용 불가"] "18b" "data layer" "data" Fail, "R";
    trigger ["the database is unavailable beyond its limit", "데이터베이스를 허용 시간 넘게 쓸 수 없음"];
    action ["entries are blocked", "진입을 차단"];
    release ["the database answers and has caught up", "데이터베이스가 응답하고 밀린 기록을 모두 반영"];
    next ["check that it is reachable, writable and has space", "접속과 쓰기가 되는지, 용량이 남았는지 확인하십시오"];

    FS122 ["Fill conflict", "체결 충돌"] "18b" "data layer" "data" Fail, "R";
    trigger ["a fill with a known key has different content", "이미 있는 체결 키에 다른 내용이 들어옴"];
    action ["the row is quarantined, the symbol frozen for entries", "해당 행을 격리하고 종목의 진입을 동결"];
    release ["the fill is reconciled with the broker", "해당 체결을 증권사와 대사"];
    next ["compare both versions of the fill with the broker's record", "두 체결 내용을 증권사 기록과 비교하십시오"];

    FS123 ["Database schema differs", "데이터베이스 스키마 불일치"] "18b" "data layer" "start" Fail, "R";
    trigger ["the database schema differs from the expected migration", "데이터베이스 스키마가 기대한 마이그레이션과 다름"];
    action ["the start is refused", "시작을 거부"];
    release ["schema and migration agree", "스키마와 마이그레이션이 일치"];
    next ["use the version of the engine that wrote it, or migrate a copy", "기록한 버전의 엔진을 쓰거나 사본을 마이그레이션하십시오"];

    FS124 ["Mirror breach", "미러 정합성 위반"] "18b" "data layer" "data" Fail, "R";
    trigger ["mirror and database disagree on a quantity or the ledger", "미러와 데이터베이스의 수량 또는 원장이 다름"];
    action ["entries are blocked until the rollback is decided", "되돌릴지 결정할 때까지 진입을 차단"];
    release ["both agree", "두 값이 일치"];
    next ["decide between rollback and repair of the mirror", "되돌릴지 미러를 고칠지 결정하십시오"];

    FS125 ["Journal corrupt", "저널 손상"] "18b" "data layer" "start" Fail, "R";
    trigger ["durable records of the journal are damaged, or their replay is blocked", "영구 기록된 저널이 손상되었거나 재생할 수 없음"];
    action ["the start is refused", "시작을 거부"];
    release ["repaired from the broker's truth", "증권사 자료를 기준으로 복구 완료"];
    next ["keep a copy of the directory, then run `qts-engine journal verify`", "디렉터리를 따로 보관한 뒤 `qts-engine journal verify`를 실행하십시오"];

    FS126 ["Data set unreadable", "필수 데이터 읽기 실패"] "18b" "data layer" "data" Fail, "R";
    trigger ["a required data set cannot be read; it is not taken for an empty one", "필수 데이터를 읽지 못함. 빈 데이터로 간주하지 않음"];
    action ["the cycle stops", "사이클을 중단"];
    release ["the data set can be read", "데이터를 읽을 수 있음"];
    next ["check the source that the message names", "메시지에 나온 출처를 확인하십시오"];

    FS127 ["Dividend data missing", "배당 데이터 없음"] "18b" "data layer" "data" Warn, "R";
    trigger ["dividend data cannot be loaded", "배당 데이터를 불러오지 못함"];
    action ["treated as no dividend", "배당이 없는 것으로 처리"];
    release ["dividend data loaded", "배당 데이터를 불러옴"];
    next ["supply the dividend file; income is understated until then", "배당 파일을 준비하십시오. 그때까지 수익이 적게 계산됩니다"];
}
