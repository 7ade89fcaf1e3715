//! Fail-safe codes of the engine as a whole (spec 01 §3.2).

codes! {
    FS001 ["Schema mismatch", "스키마 불일치"] "01" "pipeline" "Extract" Fail, "07, E";
    trigger ["stored schema version or hash differs from the expected one", "저장된 스키마의 버전이나 해시가 기대한 값과 다름"];
    action ["the cycle stops", "사이클을 중단"];
    release ["schema reloaded and its hash equal", "스키마를 다시 읽고 해시가 일치"];
    next ["restore the schema that belongs to this version, then acknowledge", "이 버전에 맞는 스키마로 되돌린 뒤 확인(ack)하십시오"];

    FS002 ["Contract version mismatch", "데이터 계약 버전 불일치"] "01" "pipeline" "Extract" Fail, "R";
    trigger ["the major version of a data contract differs", "데이터 계약의 주 버전이 다름"];
    action ["the cycle stops", "사이클을 중단"];
    release ["versions equal", "버전이 일치"];
    next ["bring all parts of the engine to the same version", "엔진의 모든 구성 요소를 같은 버전으로 맞추십시오"];

    FS003 ["Config invalid or mode conflict", "설정 오류 또는 모드 충돌"] "01" "configuration" "start" Lockdown, "00, R";
    trigger ["the configuration does not validate, or run mode and broker host conflict; at a reload the effect is FAIL", "설정 검증에 실패했거나 실행 모드와 증권사 서버가 서로 맞지 않음. 다시 읽을 때는 FAIL"];
    action ["the start is refused; at a reload the old configuration stays in force", "시작을 거부. 다시 읽을 때는 기존 설정을 유지"];
    release ["the configuration is valid", "설정이 유효"];
    next ["run `qts-engine config check` and correct what it names", "`qts-engine config check`를 실행해 지적된 항목을 고치십시오"];

    FS010 ["Required raw field missing", "필수 원천 필드 누락"] "01" "pipeline" "Extract" Fail, "07, E";
    trigger ["a required field of the raw data is absent", "원천 데이터에 필수 필드가 없음"];
    action ["the cycle stops", "사이클을 중단"];
    release ["two extracts in a row are clean", "두 번 연속 추출이 정상"];
    next ["find the source of the missing field: feed, account or instrument file", "누락된 필드의 출처(시세, 계좌, 종목 파일)를 찾으십시오"];

    FS011 ["Market data dead", "시세 수신 중단"] "01" "market-data watch" "Extract" Fail, "R";
    trigger ["no tick of any subscribed symbol for 30 s in continuous trading; not while FS105 is open", "접속매매 시간에 구독 종목 전체에서 30초간 체결·호가가 없음. FS105가 발생 중이면 올리지 않음"];
    action ["entries are cancelled", "진입 주문을 취소"];
    release ["fresh ticks for 60 s", "60초간 시세 정상 수신"];
    next ["check the feed connection and the broker's notices, then acknowledge", "시세 연결과 증권사 공지를 확인한 뒤 확인(ack)하십시오"];

    FS020 ["NaN/Inf in computed data", "계산값 비정상(NaN/Inf)"] "01" "pipeline" "Transform" Fail, "07, E";
    trigger ["a computed value is not finite", "계산 결과가 유한한 수가 아님"];
    action ["the cycle stops", "사이클을 중단"];
    release ["two recomputations in a row are clean", "두 번 연속 재계산이 정상"];
    next ["look at the prices and positions that went in; a zero or missing price is the usual cause", "입력된 가격과 포지션을 살펴보십시오. 0이거나 빠진 가격이 흔한 원인입니다"];

    FS030 ["Risk calculation error", "리스크 계산 오류"] "01" "pipeline" "Evaluate" Fail, "07, E";
    trigger ["the risk engine raised an error, or a required limit is missing", "리스크 엔진이 오류를 냈거나 필수 한도가 없음"];
    action ["everything counts as rejected", "모든 요청을 거부로 처리"];
    release ["the self-test of the risk engine is green", "리스크 엔진 자체 점검 통과"];
    next ["check the `risk` limits in the configuration and the error in the log", "설정의 `risk` 한도와 로그의 오류를 확인하십시오"];

    FS031 ["Engine fault", "엔진 장애"] "01" "pipeline" "Evaluate" Fail, "02, R";
    trigger ["an engine keeps failing: 10 errors, for 3 cycles", "엔진 오류가 계속됨: 오류 10회, 3사이클 지속"];
    action ["the engine is suspended", "해당 엔진을 정지"];
    release ["engine restarted and its self-test green", "엔진을 다시 시작하고 자체 점검 통과"];
    next ["read the engine's error in the log; remove the strategy if it is the cause", "로그에서 엔진 오류를 확인하고, 전략이 원인이면 제외하십시오"];

    FS040 ["Broker execution error", "증권사 주문 처리 오류"] "01" "broker adapter" "Act" Fail, "07, 08, E";
    trigger ["the broker answered with an error or an incomplete result, or the failure guard tripped", "증권사가 오류나 불완전한 결과를 돌려줬거나 연속 실패 차단기가 작동함"];
    escalates Lockdown ["the guard trips again within 5 min", "5분 안에 차단기가 다시 작동"];
    action ["no new orders; open orders are queried", "신규 주문을 중단하고 미체결 주문을 조회"];
    release ["broker heartbeat and query of open orders succeed", "증권사 연결 확인과 미체결 조회가 정상"];
    next ["compare open orders with the broker's screen before acknowledging", "확인(ack) 전에 미체결 주문을 증권사 화면과 대조하십시오"];

    FS041 ["Execution data missing", "체결 데이터 누락"] "01" "broker adapter" "Act" Fail, "08";
    trigger ["a fill without price or quantity, or a result without a mandatory field", "체결에 가격이나 수량이 없거나 결과에 필수 항목이 없음"];
    action ["the broker is queried", "증권사에 조회"];
    release ["the order is fully resolved", "해당 주문이 완전히 확정"];
    next ["check the order's fills at the broker", "증권사에서 해당 주문의 체결 내역을 확인하십시오"];

    FS042 ["Order timeout", "주문 응답 시간 초과"] "01" "broker adapter" "Act" Warn, "08, R";
    trigger ["no acknowledgement of an order within 5 s", "주문 접수 응답이 5초 안에 오지 않음"];
    action ["the order becomes UNKNOWN and is queried; it is never sent again; FS045 follows if it stays unresolved", "주문을 UNKNOWN으로 두고 조회하며 다시 보내지 않음. 풀리지 않으면 FS045로 이어짐"];
    release ["the order is resolved", "주문 상태가 확정"];
    next ["wait for the query; do not send the order again by hand", "조회 결과를 기다리십시오. 같은 주문을 수동으로 다시 내지 마십시오"];

    FS043 ["Broker link lost", "증권사 연결 끊김"] "01" "broker adapter" "Act" Fail, "R";
    trigger ["3 heartbeats of one minute missed, or the stream down for 15 s with open orders", "1분 주기 연결 확인 3회 실패, 또는 미체결이 있는데 실시간 연결이 15초간 끊김"];
    action ["it reconnects and polls", "다시 연결하면서 주기적으로 조회"];
    release ["link up for 60 s and reconciled", "60초간 연결 유지, 대사 완료"];
    next ["check network and broker status; guard open positions by the broker's own app meanwhile", "네트워크와 증권사 상태를 확인하고, 그동안 보유 종목은 증권사 앱으로 관리하십시오"];

    FS044 ["Repeated rejects", "주문 거부 반복"] "01" "execution gate" "Act" Fail, "07, R";
    trigger ["5 or more business rejects within 5 min", "5분 안에 업무성 거부가 5회 이상"];
    action ["the offending strategy is suspended", "원인이 된 전략을 정지"];
    release ["the cause has been entered", "원인이 기록됨"];
    next ["read the reasons of the rejects and correct the strategy or its limits", "거부 사유를 읽고 전략이나 한도를 고치십시오"];

    FS045 ["Order state unknown", "주문 상태 불명"] "01" "broker adapter" "Act" Warn, "R";
    trigger ["an UNKNOWN order older than 30 s; for SCALP children FS099 instead", "UNKNOWN 주문이 30초를 넘김. SCALP 분할 주문은 FS099로 올림"];
    escalates Fail ["older than 90 s", "90초를 넘김"];
    action ["it is queried again and again; alert", "계속 조회하고 알림"];
    release ["resolved by the broker's data", "증권사 데이터로 확정"];
    next ["find the order at the broker; entries of the symbol stay closed until then", "증권사에서 주문을 찾으십시오. 그때까지 해당 종목의 진입은 막힙니다"];

    FS046 ["No broker available", "사용 가능한 증권사 없음"] "01" "broker failover" "Act" Lockdown, "00";
    trigger ["primary and secondary broker are down", "주 증권사와 예비 증권사가 모두 사용 불가"];
    action ["alert by phone", "전화로 알림"];
    release ["one broker is certified to be up", "증권사 한 곳 이상의 정상 확인"];
    next ["call the broker's order desk if positions must be closed", "포지션을 정리해야 하면 증권사 주문 데스크에 전화하십시오"];

    FS050 ["Equity not positive", "평가 자산 소진"] "01" "pipeline" "Transform" Lockdown, "07, R";
    trigger ["equity is zero or below", "평가 자산이 0 이하"];
    action ["the pipeline stops", "파이프라인을 중단"];
    release ["equity above zero, and explained", "평가 자산이 0보다 크고 원인이 설명됨"];
    next ["compare cash and positions with the broker's statement", "현금과 보유 종목을 증권사 잔고와 대조하십시오"];

    FS051 ["Exposure runaway", "노출 한도 이탈"] "01" "account guard" "Evaluate" Fail, "07";
    trigger ["gross exposure above 1.2 times its limit", "총 노출이 한도의 1.2배를 넘음"];
    action ["entries are blocked; alert", "진입을 막고 알림"];
    release ["exposure within its limit", "노출이 한도 이내"];
    next ["reduce positions by hand, or find the fill that was not expected", "포지션을 수동으로 줄이거나 예상하지 못한 체결을 찾으십시오"];

    FS052 ["Daily loss limit", "일일 손실 한도"] "01" "account guard" "Evaluate" Fail, "07, R";
    trigger ["the day's result is at or below −`risk.daily_loss_limit_pct` of the equity at the start", "당일 손익이 시작 자산 대비 −`risk.daily_loss_limit_pct` 이하"];
    action ["entries are cancelled until the next session; exits by plan", "다음 거래일까지 진입 주문을 취소하고 청산은 계획대로 진행"];
    release ["next session, and an acknowledgement", "다음 거래일, 그리고 확인(ack)"];
    next ["review the day; acknowledge in the next session", "오늘 거래를 검토하고 다음 거래일에 확인(ack)하십시오"];

    FS053 ["Impossible position", "있을 수 없는 포지션"] "01" "pipeline" "any" Lockdown, "00";
    trigger ["a quantity below zero, or a cost below zero with a quantity above zero", "수량이 음수이거나, 수량이 있는데 취득 원가가 음수"];
    action ["the pipeline stops", "파이프라인을 중단"];
    release ["reconciled", "대사 완료"];
    next ["reconcile with the broker; look for a fill booked twice or missing", "증권사와 대사하고, 두 번 기장되었거나 빠진 체결을 찾으십시오"];

    FS054 ["Drawdown kill", "최대 낙폭 차단"] "01" "account guard" "Performance" Lockdown, "R";
    trigger ["flow-adjusted drawdown at or above `risk.dd_kill_pct` (20 %)", "입출금을 조정한 낙폭이 `risk.dd_kill_pct`(20 %) 이상"];
    action ["kill level K2: all working orders are cancelled", "킬 스위치 K2: 모든 미체결 주문을 취소"];
    release ["approval, and reduced limits", "승인, 그리고 한도 축소"];
    next ["decide about the positions by hand; lower the limits before you approve", "보유 종목의 처리를 직접 정하고, 승인(approve) 전에 한도를 낮추십시오"];

    FS060 ["Cycle time exceeded", "사이클 시간 초과"] "01" "pipeline" "Performance" Fail, "07, R";
    trigger ["one cycle above 10 s, or three in a row above 3 s", "한 사이클이 10초를 넘거나 3회 연속 3초를 넘음"];
    action ["the loop stops", "루프를 중단"];
    release ["10 dry cycles within their budget", "모의 사이클 10회가 시간 안에 완료"];
    next ["find the slow stage in the report; check the load of the host", "보고서에서 느린 단계를 찾고 서버 부하를 확인하십시오"];

    FS061 ["Resource exhaustion", "시스템 자원 고갈"] "01" "host watch" "system" Fail, "07, R";
    trigger ["free memory below 5 %, disk below 2 %, or handles above 90 %", "여유 메모리 5 % 미만, 디스크 2 % 미만, 또는 파일 핸들 90 % 초과"];
    action ["P3 is shed, the journal is flushed", "P3를 버리고 저널을 기록"];
    release ["resources are back", "자원 회복"];
    next ["free memory or disk, or move the engine to a larger host", "메모리나 디스크를 확보하거나 더 큰 서버로 옮기십시오"];

    FS062 ["Clock fault", "시계 이상"] "01" "host watch" "system" Fail, "R";
    trigger ["offset to the reference above 500 ms, or the wall clock was stepped", "기준 시각과의 차이가 500 ms를 넘거나 시스템 시계가 갑자기 바뀜"];
    action ["decisions stop", "의사 결정을 중단"];
    release ["offset below 100 ms in 5 samples", "5회 측정에서 차이가 100 ms 미만"];
    next ["repair time synchronisation of the host", "서버의 시각 동기화를 고치십시오"];

    FS063 ["Journal write failure", "저널 기록 실패"] "01" "journal writer" "Act" Fail, "R";
    trigger ["a durable write of the order journal or audit failed or took more than 1 s", "주문 저널이나 감사 기록의 영구 저장이 실패했거나 1초를 넘김"];
    action ["entries are blocked; emergency exits only", "진입을 막고 비상 청산만 허용"];
    release ["a test write succeeds", "시험 기록 성공"];
    next ["check space, permissions and health of the disk under QTS_HOME", "QTS_HOME이 있는 디스크의 용량, 권한, 상태를 확인하십시오"];

    FS070 ["Position-ledger mismatch", "포지션과 원장 불일치"] "01" "position check" "Transform" Fail, "07, E";
    trigger ["the sum of the ledger differs from the position of a symbol", "어떤 종목의 원장 합계가 포지션과 다름"];
    action ["the pipeline stops", "파이프라인을 중단"];
    release ["the replayed ledger equals the position", "원장을 다시 계산한 값이 포지션과 일치"];
    next ["keep a copy of the database; compare the symbol's fills with the broker's", "데이터베이스를 따로 보관하고 해당 종목의 체결을 증권사 내역과 대조하십시오"];

    FS071 ["Broker reconciliation mismatch", "증권사 대사 불일치"] "01" "reconciliation" "start" Fail, "R";
    trigger ["position, open order or cash differs from the broker's beyond tolerance, unexplained", "포지션, 미체결 또는 현금이 허용 오차를 넘어 증권사와 다르고 원인이 설명되지 않음"];
    escalates Lockdown ["found at the start of a live session", "실거래 시작 시 발견"];
    action ["the symbol is frozen; alert", "해당 종목을 동결하고 알림"];
    release ["no differences", "차이 없음"];
    next ["explain each difference: a manual trade, a transfer or a corporate action", "차이마다 원인(수동 매매, 입출고, 권리 발생 등)을 밝히십시오"];
}
