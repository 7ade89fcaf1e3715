//! Fail-safe codes of capital, execution, events, micro risk and operating state (spec 01 §3.3).

codes! {
    FS080 ["Total capital exhausted", "총자본 소진"] "14" "capital engine" "Transform" Lockdown, "S";
    trigger ["total capital or total equity is zero or below", "총자본 또는 총 평가 자산이 0 이하"];
    action ["all pools are locked", "모든 풀을 잠금"];
    release ["capital above zero, explained and reconciled", "자본이 0보다 크고 원인이 설명되었으며 대사 완료"];
    next ["compare the account with the broker's statement before anything else", "먼저 계좌를 증권사 잔고와 대조하십시오"];

    FS081 ["Negative pool amount", "풀 금액 음수"] "14" "capital engine" "Transform" Fail, "S";
    trigger ["a money component of a pool is below zero", "풀의 금액 항목이 음수"];
    action ["the pool is locked", "해당 풀을 잠금"];
    release ["reconciled", "대사 완료"];
    next ["look at the pool's last postings with `qts-engine capital history`", "`qts-engine capital history`로 해당 풀의 최근 기장 내역을 살펴보십시오"];

    FS082 ["Pool drawdown", "풀 낙폭 초과"] "14" "capital engine" "Transform" Warn, "S";
    trigger ["flow-adjusted drawdown of a pool above 20 %", "입출금을 조정한 풀의 낙폭이 20 %를 넘음"];
    escalates Fail ["a second pool is locked, or locked pools hold 50 % of capital or more", "두 번째 풀이 잠기거나 잠긴 풀이 자본의 50 % 이상을 보유"];
    action ["the pool is locked", "해당 풀을 잠금"];
    release ["an operator has unlocked the pool; its peak is set anew", "운영자가 풀의 잠금을 해제하고 고점을 다시 설정"];
    next ["review the strategy of the pool; unlock it only with a reason", "풀의 전략을 검토하고, 근거가 있을 때만 잠금을 해제하십시오"];

    FS083 ["Abnormal capital change", "자본 이상 변동"] "14" "capital engine" "Transform" Fail, "S";
    trigger ["capital has changed by more than flows and results explain", "입출금과 손익으로 설명되지 않는 자본 변동"];
    action ["all transfers stop", "모든 이체를 중단"];
    release ["the change is explained", "변동 원인이 설명됨"];
    next ["look for a deposit, withdrawal, dividend or fee that was not recorded", "기록되지 않은 입금, 출금, 배당, 수수료를 찾으십시오"];

    FS084 ["Pool mismatch", "풀 불일치"] "14" "capital engine" "Transform" Warn, "S";
    trigger ["pools, ledger and broker disagree after one more look", "다시 읽은 뒤에도 풀, 원장, 증권사 값이 서로 다름"];
    escalates Fail ["not resolved within 60 s or 3 attempts", "60초 또는 3회 시도 안에 해소되지 않음"];
    action ["the pools concerned are locked", "관련 풀을 잠금"];
    release ["pools, ledger and broker agree", "풀, 원장, 증권사 값이 일치"];
    next ["wait for the next synchronisation; then reconcile by hand", "다음 동기화를 기다린 뒤에도 남으면 수동으로 대사하십시오"];

    FS085 ["Pools locked by lockdown", "LOCKDOWN에 따른 풀 잠금"] "14" "capital engine" "Transform" Note, "S";
    trigger ["the safety state is LOCKDOWN; a consequence, never raised again", "안전 상태가 LOCKDOWN. 결과로 기록될 뿐 다시 올리지 않음"];
    action ["all pools are locked", "모든 풀을 잠금"];
    release ["follows the release of LOCKDOWN", "LOCKDOWN 해제를 따름"];
    next ["deal with the code that led to LOCKDOWN", "LOCKDOWN을 일으킨 코드를 처리하십시오"];

    FS086 ["Capital ledger not durable", "자본 원장 저장 실패"] "14" "capital ledger" "Transform" Fail, "R";
    trigger ["an entry of the capital ledger could not be made durable", "자본 원장의 기장을 영구 저장하지 못함"];
    action ["transfers stop", "이체를 중단"];
    release ["store healthy and replayed", "저장소 정상, 재생 완료"];
    next ["check space and health of the disk under QTS_HOME", "QTS_HOME이 있는 디스크의 용량과 상태를 확인하십시오"];

    FS090 ["Send failed for all children", "분할 주문 전체 전송 실패"] "15" "execution pipeline" "Act" Warn, "S";
    trigger ["every child of an execution failed to send", "한 집행의 분할 주문이 모두 전송에 실패"];
    escalates Fail ["2 executions within 5 min", "5분 안에 집행 2건에서 발생"];
    action ["the execution ends", "해당 집행을 종료"];
    next ["check the broker link and the reasons in the order log", "증권사 연결과 주문 로그의 사유를 확인하십시오"];

    FS091 ["Symbol refused by broker", "증권사가 종목을 거부"] "15" "execution pipeline" "Act" Warn, "S";
    trigger ["the broker reports the symbol as unknown or invalid", "증권사가 없는 종목 또는 잘못된 종목이라고 응답"];
    action ["the symbol is blocked until an operator clears it", "운영자가 해제할 때까지 해당 종목을 차단"];
    release ["an operator has cleared the symbol", "운영자가 종목 차단을 해제"];
    next ["check for delisting, renaming or a halt; correct the instrument file", "상장 폐지, 종목 변경, 거래 정지 여부를 확인하고 종목 파일을 고치십시오"];

    FS092 ["Emergency escape ran", "비상 탈출 실행"] "15" "execution pipeline" "Act" Note, "S";
    trigger ["EmergencyEscape ran", "EmergencyEscape가 실행됨"];
    escalates Warn ["3 flattenings in a session", "하루에 전량 청산 3회"];
    escalates Fail ["not flat within 30 s", "30초 안에 청산되지 않음"];
    action ["logged", "기록"];
    release ["the position is flat, or explained", "포지션이 청산되었거나 상태가 설명됨"];
    next ["read the reason in the execution log; if the position is not flat, close it by hand", "집행 로그에서 사유를 읽고, 포지션이 남았으면 수동으로 정리하십시오"];

    FS093 ["Monitor budget spent", "체결 대기 시간 소진"] "15" "execution pipeline" "Act" Note, "S";
    trigger ["the monitor budget of 60 s is spent with quantity unfilled", "체결 감시 시간 60초가 끝났으나 미체결 수량이 남음"];
    escalates Warn ["5 within 10 min", "10분 안에 5회"];
    action ["unfilled quantity is cancelled", "미체결 수량을 취소"];
    next ["if it comes often, widen the price limit or trade more liquid symbols", "자주 발생하면 가격 한도를 넓히거나 유동성이 큰 종목으로 바꾸십시오"];

    FS094 ["Slippage limit", "슬리피지 한도 초과"] "15" "execution pipeline" "Act" Warn, "S";
    trigger ["adverse slippage of an entry above 0.5 %, or no quote within the cap", "진입 주문의 불리한 슬리피지가 0.5 %를 넘거나 한도 안의 호가가 없음"];
    action ["the entry ends; 3 in a day block SCALP entries", "진입을 종료. 하루 3회면 SCALP 진입을 차단"];
    next ["compare the symbol's spread and depth with the order size", "해당 종목의 스프레드와 잔량을 주문 수량과 비교하십시오"];

    FS095 ["P0 queue full", "P0 큐 가득 참"] "15" "P0 queue" "event" Note, "S";
    trigger ["a put found the P0 queue full", "P0 큐가 가득 차 이벤트를 바로 넣지 못함"];
    escalates Fail ["it lasts for more than 1 s", "1초 넘게 지속"];
    action ["entries wait until the depth has been below 50 for 1 s; exits go on", "큐 길이가 1초간 50 미만이 될 때까지 진입을 보류. 청산은 계속"];
    release ["depth below 50 for 1 s", "1초간 큐 길이 50 미만"];
    next ["look for a slow P0 handler with `qts-engine bench` and in the log", "`qts-engine bench`와 로그에서 느린 P0 핸들러를 찾으십시오"];

    FS096 ["P0 thread failed", "P0 스레드 장애"] "17" "event dispatcher" "event" Fail, "R";
    trigger ["the P0 queue or its consumer thread failed", "P0 큐 또는 그 소비 스레드에 장애"];
    escalates Lockdown ["a second failure within 60 s", "60초 안에 두 번째 장애"];
    action ["trading is suspended; the consumer is restarted once", "거래를 정지하고 소비 스레드를 한 번 다시 시작"];
    release ["the consumer runs and nothing waits unhandled", "소비 스레드가 정상이고 처리되지 않은 이벤트가 없음"];
    next ["keep the log; reconcile orders before acknowledging", "로그를 보관하고 확인(ack) 전에 주문을 대사하십시오"];

    FS097 ["P1 rebuild failed", "P1 큐 재구성 실패"] "17" "event dispatcher" "event" Fail, "R";
    trigger ["the P1 queue could not be rebuilt", "P1 큐를 다시 만들지 못함"];
    action ["entries are blocked, ETEDA is suspended; the price tap goes on", "진입을 막고 ETEDA를 정지. 시세 탭은 계속"];
    release ["P1 carries market data again", "P1에 시세가 다시 흐름"];
    next ["restart the engine in a quiet moment", "거래가 한산할 때 엔진을 다시 시작하십시오"];

    FS098 ["P0 event given up", "P0 이벤트 처리 실패"] "17" "event dispatcher" "event" Fail, "R";
    trigger ["a P0 event has exhausted its 3 attempts", "P0 이벤트가 3회 시도 끝에 처리되지 못함"];
    action ["dead letter; entries are blocked, the order is reconciled", "데드 레터로 보관하고 진입을 막은 뒤 해당 주문을 대사"];
    release ["the order concerned is reconciled", "관련 주문의 대사 완료"];
    next ["read the dead letter and correct the handler that failed", "데드 레터를 읽고 실패한 핸들러를 고치십시오"];

    FS099 ["Fill quantity mismatch", "체결 수량 불일치"] "15" "execution pipeline" "Act" Warn, "R";
    trigger ["a SCALP child UNKNOWN for more than 30 s; over-fill and quantity mismatch with the broker are FAIL at once", "SCALP 분할 주문이 30초 넘게 UNKNOWN. 초과 체결과 증권사 수량 불일치는 즉시 FAIL"];
    escalates Fail ["over-fill, quantity mismatch, or UNKNOWN for more than 90 s", "초과 체결, 수량 불일치, 또는 90초 넘게 UNKNOWN"];
    action ["the symbol is frozen", "해당 종목을 동결"];
    release ["reconciled with the broker", "증권사와 대사 완료"];
    next ["compare the symbol's quantity with the broker's and explain the difference", "해당 종목의 수량을 증권사와 비교하고 차이를 설명하십시오"];

    FS100 ["Risk loop failed", "리스크 루프 장애"] "16" "risk watchdog" "loop" Fail, "S";
    trigger ["the risk loop crashed, its heartbeat is older than 500 ms, or one position failed 3 passes in a row", "리스크 루프가 멈췄거나 하트비트가 500 ms보다 오래되었거나 한 포지션이 3회 연속 실패"];
    action ["the loop is restarted, ETEDA suspended", "루프를 다시 시작하고 ETEDA를 정지"];
    release ["the loop keeps its interval", "루프가 정해진 주기로 작동"];
    next ["guard positions by the broker's app until the loop runs again", "루프가 정상화될 때까지 보유 종목을 증권사 앱으로 관리하십시오"];

    FS101 ["Position sync stale", "포지션 동기화 지연"] "16" "risk loop" "loop" Warn, "S";
    trigger ["position sync older than 1 s", "포지션 동기화가 1초보다 오래됨"];
    escalates Fail ["older than 3 s, or after 3 failed forced syncs", "3초보다 오래되었거나 강제 동기화 3회 실패"];
    action ["a sync is forced", "강제로 동기화"];
    release ["sync age within 500 ms", "동기화 경과 시간 500 ms 이내"];
    next ["check whether the engine's main process is overloaded or stopped", "엔진 본체가 과부하이거나 멈추지 않았는지 확인하십시오"];

    FS102 ["Emergency exit executed", "비상 청산 실행"] "16" "risk loop" "loop" Note, "S";
    trigger ["an emergency exit, part or full, was executed", "비상 청산(일부 또는 전량)이 실행됨"];
    action ["logged", "기록"];
    next ["read which rule fired; nothing else is needed", "어떤 규칙이 발동했는지 확인하십시오. 추가 조치는 필요 없습니다"];

    FS103 ["ETEDA suspend requested", "ETEDA 정지 요청"] "16" "risk loop" "loop" Note, "S";
    trigger ["the risk loop asked for a suspension of ETEDA", "리스크 루프가 ETEDA 정지를 요청"];
    action ["no cycle starts until the suspension ends", "정지가 끝날 때까지 사이클을 시작하지 않음"];
    next ["read the reason; it resumes by itself unless its end is open", "사유를 확인하십시오. 기한이 있으면 저절로 재개됩니다"];

    FS104 ["Kill switch fired by a rule", "규칙에 의한 킬 스위치 발동"] "16" "risk loop" "loop" Lockdown, "S";
    trigger ["volatility index at or above 40, or the loss limit of the account", "변동성 지수 40 이상, 또는 계좌 손실 한도 도달"];
    action ["kill plan: every position is closed", "킬 플랜: 모든 포지션을 청산"];
    release ["all positions flat or explained, approval", "모든 포지션이 청산되었거나 상태가 설명되고, 승인됨"];
    next ["follow the liquidation to its end; report what is left over", "청산이 끝날 때까지 지켜보고 남은 수량을 확인하십시오"];

    FS105 ["Price feed interrupted", "시세 끊김"] "16" "risk loop" "loop" Warn, "S";
    trigger ["no price for more than 1 s", "1초 넘게 시세가 없음"];
    escalates Fail ["dead: more than 5 s", "완전 중단: 5초 초과"];
    action ["the last price allows no new decision; a rule that has fired stays fired", "마지막 가격으로 새 결정을 내리지 않음. 이미 발동한 규칙은 유지"];
    release ["the feed is live", "시세 정상"];
    next ["check the feed connection", "시세 연결을 확인하십시오"];

    FS106 ["Forced move to DEFENSIVE", "DEFENSIVE 강제 전환 요청"] "16" "risk loop" "loop" Note, "R";
    trigger ["the risk loop asked for the operating state DEFENSIVE", "리스크 루프가 운영 상태 DEFENSIVE를 요청"];
    action ["the operating state becomes DEFENSIVE at once", "운영 상태를 즉시 DEFENSIVE로 전환"];
    next ["read the cause; the way back follows the rules of the operating state", "원인을 확인하십시오. 복귀는 운영 상태 규칙을 따릅니다"];

    FS107 ["Emergency order failed", "비상 주문 실패"] "16" "risk loop" "loop" Fail, "R";
    trigger ["an emergency order failed after all attempts", "비상 주문이 모든 시도 끝에 실패"];
    action ["the symbol is frozen, ETEDA suspended; it is tried again every 5 s", "해당 종목을 동결하고 ETEDA를 정지. 5초마다 다시 시도"];
    release ["the position is closed or secured", "포지션이 청산되었거나 보호됨"];
    next ["close the position at the broker by hand, now", "지금 바로 증권사에서 직접 포지션을 정리하십시오"];

    FS108 ["Python heartbeat lost", "Python 하트비트 끊김"] "16" "risk watchdog" "loop" Warn, "R";
    trigger ["Python heartbeat older than 1 s", "Python 하트비트가 1초보다 오래됨"];
    escalates Fail ["older than 5 s", "5초보다 오래됨"];
    action ["entries are frozen; rules and exits go on without Python", "진입을 동결. 규칙과 청산은 Python 없이 계속"];
    release ["heartbeat stable for 2 s, book and orders reconciled", "하트비트 2초간 안정, 장부와 주문 대사 완료"];
    next ["look for a strategy or handler that holds the interpreter", "인터프리터를 붙잡고 있는 전략이나 핸들러를 찾으십시오"];

    FS110 ["Operating state not persisted", "운영 상태 저장 실패"] "18a" "operating-state manager" "state" Fail, "R";
    trigger ["a transition of the operating state cannot be persisted", "운영 상태 전환을 저장하지 못함"];
    action ["the more defensive state is kept in memory, entries are blocked", "더 방어적인 상태를 메모리에 유지하고 진입을 차단"];
    release ["the state is persisted", "상태 저장 완료"];
    next ["check space and permissions of the disk under QTS_HOME", "QTS_HOME이 있는 디스크의 용량과 권한을 확인하십시오"];

    FS111 ["Stored operating state corrupt", "저장된 운영 상태 손상"] "18a" "operating-state manager" "state" Fail, "R";
    trigger ["the stored operating state is corrupt, or its version went back", "저장된 운영 상태가 손상되었거나 버전이 뒤로 감"];
    action ["the engine starts in DEFENSIVE", "DEFENSIVE로 시작"];
    release ["an operator has reviewed the state", "운영자가 상태를 검토"];
    next ["find out whether a backup was restored; then set the state you want", "백업을 되돌린 적이 있는지 확인하고 원하는 상태를 지정하십시오"];

    FS112 ["Second writer of the operating state", "운영 상태의 이중 기록자"] "18a" "operating-state manager" "state" Fail, "R";
    trigger ["somebody else writes the operating state", "다른 프로세스가 운영 상태를 기록"];
    action ["entries are blocked until the lease is resolved", "기록 권한이 정리될 때까지 진입을 차단"];
    release ["one writer holds the lease", "기록자가 하나뿐임"];
    next ["stop the second engine that uses the same QTS_HOME or database", "같은 QTS_HOME이나 데이터베이스를 쓰는 다른 엔진을 멈추십시오"];
}
