//! Guardrails of the rooms (spec 01 §3.3). They end with their condition.

codes! {
    GR050 ["Targets do not sum to 100 %", "목표 비중 합계 오류"] "14" "capital engine" "Transform" Note Warning, "S";
    trigger ["target shares of the pools do not sum to 100 %", "풀 목표 비중의 합이 100 %가 아님"];
    action ["none on orders; targets normalised (up to 50 bps off) or the last good ones kept", "주문 영향 없음. 50 bps 이내면 비례 조정, 아니면 직전 정상 목표를 유지"];
    next ["correct `capital.targets`", "`capital.targets`를 고치십시오"];

    GR051 ["Pool below minimum", "풀 최소치 미달"] "14" "capital engine" "Transform" Note Warning, "S";
    trigger ["pool below `min_pct` or `min_amount`", "풀이 `min_pct` 또는 `min_amount`보다 작음"];
    action ["rebalancing requested; below `min_amount` its entries pause", "리밸런싱을 요청. `min_amount` 미만이면 해당 풀의 진입을 보류"];
    next ["fund the pool or lower its minimum", "풀에 자금을 보태거나 최소치를 낮추십시오"];

    GR052 ["Pool above maximum", "풀 최대치 초과"] "14" "capital engine" "Transform" Note Warning, "S";
    trigger ["pool above `max_pct`, now or after a promotion", "풀이 현재 또는 승격 후 `max_pct`를 넘음"];
    action ["none on orders; promotion into it blocked", "주문 영향 없음. 해당 풀로의 승격을 차단"];
    next ["nothing, or rebalance", "조치 불필요. 필요하면 리밸런싱하십시오"];

    GR053 ["Promotion reduced", "승격 금액 축소"] "14" "capital engine" "Transform" Note Info, "S";
    trigger ["promotion amount above what is available", "승격 금액이 가용 금액을 넘음"];
    action ["none on orders; amount reduced", "주문 영향 없음. 금액을 축소"];
    next ["nothing", "조치 불필요"];

    GR054 ["Daily transfer limit", "일일 이체 한도"] "14" "capital engine" "Transform" Note Warning, "S";
    trigger ["transfers of the day above the daily limit", "당일 이체 합계가 일일 한도를 넘음"];
    action ["none on orders; the excess waits for the next trading day", "주문 영향 없음. 초과분은 다음 거래일로 미룸"];
    next ["nothing", "조치 불필요"];

    GR055 ["Pool drift", "풀 비중 이탈"] "14" "capital engine" "Transform" Note Warning, "S";
    trigger ["a pool is more than 10 points off its target", "풀 비중이 목표에서 10 %p 넘게 벗어남"];
    action ["none on orders; rebalancing recommended", "주문 영향 없음. 리밸런싱을 권고"];
    next ["decide about rebalancing", "리밸런싱 여부를 결정하십시오"];

    GR056 ["Transfer deferred", "이체 보류"] "14" "capital engine" "Transform" Note Info, "R";
    trigger ["safety state not NORMAL, or the pool not ACTIVE", "안전 상태가 NORMAL이 아니거나 풀이 ACTIVE가 아님"];
    action ["none on orders; the transfer stays pending", "주문 영향 없음. 이체를 보류"];
    next ["nothing; it follows by itself", "조치 불필요. 조건이 풀리면 저절로 진행됩니다"];

    GR057 ["Capital metric missing", "자본 지표 부족"] "14" "capital engine" "Transform" Note Warning, "R";
    trigger ["a metric is missing, stale or under-sampled", "지표가 없거나 오래되었거나 표본이 부족"];
    action ["none on orders; the criterion counts as not met", "주문 영향 없음. 기준 미충족으로 처리"];
    next ["wait for more trades, or check the report's data", "거래가 더 쌓이기를 기다리거나 보고서 데이터를 확인하십시오"];

    GR060 ["Too many children", "분할 수 초과"] "15" "execution pipeline" "Act" Note Info, "S";
    trigger ["more children than `max_splits`", "분할 주문 수가 `max_splits`를 넘음"];
    action ["children merged", "분할 주문을 병합"];
    next ["nothing", "조치 불필요"];

    GR061 ["Insufficient balance", "잔고 부족"] "15" "execution pipeline" "Act" Note Warning, "S";
    trigger ["insufficient balance before or at the send", "전송 전 또는 전송 시점에 잔고가 부족"];
    action ["PreCheck: quantity cut; at the send: unsent children cancelled", "PreCheck에서는 수량 축소, 전송 시에는 미전송 분할 주문을 취소"];
    next ["check cash and other holds", "예수금과 다른 예약 금액을 확인하십시오"];

    GR062 ["Entry count reached", "일일 진입 횟수 도달"] "15" "execution pipeline" "Act" Note Info, "S";
    trigger ["PreCheck finds the day's entry count at the state's limit", "PreCheck에서 당일 진입 횟수가 운영 상태의 한도에 도달"];
    action ["entry blocked", "진입 차단"];
    next ["nothing; it ends with the day", "조치 불필요. 다음 거래일에 해제됩니다"];

    GR063 ["Slippage warning", "슬리피지 경고"] "15" "execution pipeline" "Act" Note Warning, "S";
    trigger ["adverse slippage above 0.3 %", "불리한 슬리피지가 0.3 %를 넘음"];
    action ["no further price improvement in this execution", "이 집행에서 더는 가격을 양보하지 않음"];
    next ["compare order size and depth", "주문 수량과 잔량을 비교하십시오"];

    GR064 ["Slow fill", "체결 지연"] "15" "execution pipeline" "Act" Note Info, "S";
    trigger ["no fill within `max_wait_ms`", "`max_wait_ms` 안에 체결 없음"];
    action ["none", "주문 영향 없음"];
    next ["nothing", "조치 불필요"];

    GR066 ["Stale-price refusals", "오래된 가격 거부 빈발"] "15" "execution pipeline" "Act" Note Warning, "R";
    trigger ["more than 10 entries a minute refused for a stale price", "오래된 가격 때문에 분당 10건 넘는 진입이 거부됨"];
    action ["none beyond the refusals", "거부 외에 추가 영향 없음"];
    next ["check the feed", "시세 연결을 확인하십시오"];

    GR067 ["Child order unknown", "분할 주문 상태 불명"] "15" "execution pipeline" "Act" Note Warning, "R";
    trigger ["a child has been UNKNOWN for more than 3 s", "분할 주문이 3초 넘게 UNKNOWN"];
    action ["entries of the symbol blocked", "해당 종목의 진입 차단"];
    next ["wait for the query; do not send the order again by hand", "조회 결과를 기다리십시오. 같은 주문을 수동으로 다시 내지 마십시오"];

    GR068 ["Yielded to the risk loop", "리스크 루프에 양보"] "15" "execution pipeline" "Act" Note Info, "R";
    trigger ["an execution yielded to the risk loop", "집행이 리스크 루프에 자리를 내줌"];
    action ["none", "주문 영향 없음"];
    next ["nothing", "조치 불필요"];

    GR069 ["Orphan or late fill", "미귀속·지연 체결"] "15" "execution pipeline" "Act" Note Warning, "R";
    trigger ["a fill without a known order, or after its end", "주문을 알 수 없거나 주문이 끝난 뒤에 온 체결"];
    action ["none; ledgered and reconciled", "주문 영향 없음. 원장에 기록하고 대사"];
    next ["check for orders given by hand at the broker", "증권사에서 수동으로 낸 주문이 있는지 확인하십시오"];

    GR070 ["Trailing stop over-adjusted", "추적 손절 과다 조정"] "16" "risk loop" "loop" Note Info, "S";
    trigger ["trailing stop of a symbol adjusted more than 10 times in 1 s", "한 종목의 추적 손절이 1초에 10회 넘게 조정됨"];
    action ["none; notices coalesced", "주문 영향 없음. 알림을 묶음"];
    next ["nothing", "조치 불필요"];

    GR071 ["Near the excursion limit", "역행 한도 근접"] "16" "risk loop" "loop" Note Info, "S";
    trigger ["excursion at 80 % of the partial MAE limit", "최대 역행폭이 부분 청산 한도(MAE)의 80 %에 도달"];
    action ["none", "주문 영향 없음"];
    next ["nothing; a partial exit may follow", "조치 불필요. 부분 청산이 이어질 수 있습니다"];

    GR072 ["Holding time nearly used", "보유 시간 임박"] "16" "risk loop" "loop" Note Info, "S";
    trigger ["80 % of the holding time used", "허용 보유 시간의 80 %를 사용"];
    action ["none", "주문 영향 없음"];
    next ["nothing; an exit may follow", "조치 불필요. 청산이 이어질 수 있습니다"];

    GR073 ["Volatility warning", "변동성 경고"] "16" "risk loop" "loop" Note Warning, "S";
    trigger ["volatility level WARNING; both inputs unknown for more than 60 s count as WARNING", "변동성 수준이 WARNING. 두 입력을 60초 넘게 알 수 없어도 WARNING으로 간주"];
    action ["smaller positions recommended; unknown: entries frozen", "포지션 축소를 권고. 알 수 없으면 진입을 동결"];
    next ["consider smaller positions; check the volatility feed", "포지션 축소를 검토하고 변동성 지수 수신을 확인하십시오"];

    GR074 ["Emergency order attempt failed", "비상 주문 시도 실패"] "16" "risk loop" "loop" Note Warning, "S";
    trigger ["one attempt of an emergency order failed", "비상 주문의 한 차례 시도가 실패"];
    action ["none; retried, then FS107", "주문 영향 없음. 다시 시도하고 끝내 실패하면 FS107"];
    next ["be ready to close the position at the broker by hand", "증권사에서 직접 포지션을 정리할 준비를 하십시오"];

    GR080 ["Daily trade limit", "일일 거래 횟수 한도"] "18a" "risk engine" "Evaluate" Note Info, "R";
    trigger ["the account's entries of the day reached `max_daily_trades`", "계좌의 당일 진입 횟수가 `max_daily_trades`에 도달"];
    action ["entries blocked for the day", "당일 진입 차단"];
    next ["nothing; it ends with the day", "조치 불필요. 다음 거래일에 해제됩니다"];

    GR081 ["Pool outside the state's range", "운영 상태 범위를 벗어난 풀"] "18a" "operating-state manager" "state" Note Warning, "R";
    trigger ["pool share outside the state's range on 2 daily checks", "일일 점검 2회에서 풀 비중이 운영 상태의 범위를 벗어남"];
    action ["none; rebalance armed where enabled", "주문 영향 없음. 설정되어 있으면 리밸런싱을 준비"];
    next ["decide about rebalancing", "리밸런싱 여부를 결정하십시오"];

    GR082 ["No new entries", "신규 진입 불가"] "18a" "risk engine" "Evaluate" Note Info, "R";
    trigger ["an entry was attempted while the operating state allows none", "운영 상태가 진입을 허용하지 않을 때 진입을 시도"];
    action ["entry blocked", "진입 차단"];
    next ["nothing", "조치 불필요"];

    GR083 ["Transition metric missing", "전환 지표 부족"] "18a" "operating-state manager" "state" Note Warning, "R";
    trigger ["a transition metric is missing, stale or invalid", "전환 지표가 없거나 오래되었거나 잘못됨"];
    action ["none; no move towards more risk", "주문 영향 없음. 위험을 늘리는 전환을 하지 않음"];
    next ["check the source of the metric", "지표의 출처를 확인하십시오"];

    GR084 ["Override refused", "수동 지정 거부"] "18a" "operating-state manager" "state" Note Warning, "R";
    trigger ["an override was refused, or renewed more than twice", "수동 지정이 거부되었거나 두 번 넘게 연장됨"];
    action ["none", "주문 영향 없음"];
    next ["read the reason of the refusal", "거부 사유를 확인하십시오"];

    GR085 ["Tightened limits active", "강화된 한도 적용"] "18a" "operating-state manager" "state" Note Info, "R";
    trigger ["tightened limits are active (policy SAFE)", "강화된 한도가 적용 중(SAFE 정책)"];
    action ["properties merged", "운영 속성을 합쳐서 적용"];
    next ["nothing", "조치 불필요"];

    GR086 ["State flapping", "운영 상태 잦은 전환"] "18a" "operating-state manager" "state" Note Warning, "R";
    trigger ["more than 4 transitions in 30 days", "30일에 전환이 4회를 넘음"];
    action ["none; under SAFE no move towards more risk for 7 days", "주문 영향 없음. SAFE 정책에서는 7일간 위험을 늘리는 전환을 하지 않음"];
    next ["review the thresholds of the transition rules", "전환 규칙의 기준값을 검토하십시오"];

    GR087 ["Long in DEFENSIVE", "DEFENSIVE 장기 지속"] "18a" "operating-state manager" "state" Note Warning, "R";
    trigger ["DEFENSIVE for more than 30 days", "DEFENSIVE가 30일을 넘김"];
    action ["none", "주문 영향 없음"];
    next ["review strategies and thresholds", "전략과 기준값을 검토하십시오"];

    GR088 ["Rebalance budget exhausted", "리밸런싱 예산 소진"] "18a" "operating-state manager" "state" Note Info, "R";
    trigger ["rebalance budget exhausted, or the plan carried over 3 windows", "리밸런싱 예산을 다 썼거나 계획이 세 차례 이월됨"];
    action ["none; carried forward", "주문 영향 없음. 이월"];
    next ["nothing", "조치 불필요"];

    GR090 ["Critical only", "핵심 전용 모드"] "17" "event dispatcher" "event" Note Warning, "R";
    trigger ["the level in force became CRITICAL_ONLY", "적용 수준이 CRITICAL_ONLY가 됨"];
    action ["none on orders; only P0 runs", "주문 영향 없음. P0만 처리"];
    next ["look for the slot that asks for it: safety, back-pressure or operator", "안전 상태, 적체, 운영자 중 무엇이 요청했는지 확인하십시오"];

    GR100 ["Database slow to answer", "데이터베이스 일시 중단"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["database unavailable, below the limit of FS120", "데이터베이스를 쓸 수 없으나 FS120 한도 이내"];
    action ["entries from memory state, blocked after 30 s", "메모리 상태로 진입하고 30초 뒤 차단"];
    next ["check the database", "데이터베이스를 확인하십시오"];

    GR101 ["Connection pool nearly used up", "연결 풀 부족"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["use of the connection pool above 90 %", "연결 풀 사용률이 90 %를 넘음"];
    action ["none", "주문 영향 없음"];
    next ["look for slow queries or enlarge the pool", "느린 조회를 찾거나 풀을 늘리십시오"];

    GR102 ["Slow queries", "느린 조회"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["p99 of queries above 500 ms", "조회 p99가 500 ms를 넘음"];
    action ["none; the analytics pool is suspended", "주문 영향 없음. 분석용 풀을 정지"];
    next ["check the load of the database", "데이터베이스 부하를 확인하십시오"];

    GR103 ["Disk filling up", "디스크 부족"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["disk use above 80 %, or the journal at 80 % of its quota",
        "디스크 사용률이 80 %를 넘거나 저널이 한도의 80 %에 이름"];
    action ["none; tick ingest stops at 90 %. A journal at its quota retires what is done, and blocks entries (FS063) if that is not enough",
        "주문 영향 없음. 90 %에서 틱 저장을 중단. 한도에 이른 저널은 처리가 끝난 기록을 지우고, 그래도 모자라면 신규 진입을 차단(FS063)"];
    next ["free space, or move old data away; for the journal see qts-engine journal verify and retire",
        "공간을 확보하거나 오래된 데이터를 옮기십시오. 저널은 qts-engine journal verify와 retire로 확인하십시오"];

    GR104 ["Replication lag", "복제 지연"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["replication lag above 10 s", "복제 지연이 10초를 넘음"];
    action ["none; nothing is read from the replica", "주문 영향 없음. 복제본에서 읽지 않음"];
    next ["check the replica", "복제본을 확인하십시오"];

    GR105 ["Mirror outbox waiting", "미러 전송 적체"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["mirror outbox older than 60 s", "미러 전송 대기가 60초보다 오래됨"];
    action ["none", "주문 영향 없음"];
    next ["check the mirror's connection and quota", "미러 연결과 사용 한도를 확인하십시오"];

    GR106 ["Sheet layout changed", "시트 구조 변경"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["header or column order of a sheet changed", "시트의 머리글이나 열 순서가 바뀜"];
    action ["none; remapped", "주문 영향 없음. 열을 다시 연결"];
    next ["undo the change in the sheet if it was not meant", "의도한 변경이 아니면 시트를 되돌리십시오"];

    GR107 ["Ticks missing", "틱 누락"] "18b" "data layer" "data" Note Info, "R";
    trigger ["a gap in the ticks, or rows dropped", "틱이 비었거나 저장하지 못한 행이 있음"];
    action ["none; bars marked incomplete", "주문 영향 없음. 봉을 불완전으로 표시"];
    next ["nothing; do not backtest on bars marked incomplete", "조치 불필요. 불완전으로 표시된 봉으로 백테스트하지 마십시오"];

    GR108 ["Backup too old", "백업 지연"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["last verified backup older than 26 h", "검증된 마지막 백업이 26시간보다 오래됨"];
    action ["none", "주문 영향 없음"];
    next ["make a backup and find out why the scheduled one failed", "백업을 만들고 예약 백업이 실패한 이유를 찾으십시오"];

    GR109 ["Mirror mismatch persists", "미러 불일치 지속"] "18b" "data layer" "data" Note Warning, "R";
    trigger ["a mirror mismatch has lasted for 15 min, not on quantity or ledger", "수량·원장 외의 미러 불일치가 15분간 지속"];
    action ["none", "주문 영향 없음"];
    next ["rebuild the mirror", "미러를 다시 만드십시오"];

    GR110 ["Feedback coverage low", "피드백 수집률 부족"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["coverage below 99 % over a session", "하루 수집률이 99 % 미만"];
    action ["none; costs may only rise until it is restored", "주문 영향 없음. 회복될 때까지 비용 추정치를 낮추지 않음"];
    next ["look for fills without a decision", "의사 결정과 연결되지 않은 체결을 찾으십시오"];

    GR111 ["Feedback stale", "피드백 요약 지연"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["the summary is STALE in session", "장중 요약이 STALE"];
    action ["the staleness rule of document 20", "문서 20의 지연 규칙을 적용"];
    next ["check whether the aggregator runs", "집계기가 작동하는지 확인하십시오"];

    GR112 ["Symbol slippage high", "종목 슬리피지 과다"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["slippage of the symbol's last 20 above twice its estimate and above 20 bps", "종목의 최근 20건 슬리피지가 추정치의 2배와 20 bps를 모두 넘음"];
    action ["new entries of the symbol halved", "해당 종목의 신규 진입을 절반으로"];
    next ["review the symbol's liquidity", "해당 종목의 유동성을 검토하십시오"];

    GR113 ["Clamp hit often", "보정 한도 빈발"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["clamp or step limit hit on more than 20 % of decisions in an hour", "한 시간 의사 결정의 20 % 넘게 보정 한도에 걸림"];
    action ["none; the version is frozen", "주문 영향 없음. 현재 버전을 고정"];
    next ["review the estimates before a new version", "새 버전을 내기 전에 추정치를 검토하십시오"];

    GR114 ["Model drift", "모형 편차"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["drift of the model, or it failed to load", "모형에 편차가 생겼거나 불러오지 못함"];
    action ["none; model off", "주문 영향 없음. 모형을 끔"];
    next ["train the model again, or leave it off", "모형을 다시 학습시키거나 꺼 두십시오"];

    GR115 ["Suspect records", "의심 기록 과다"] "20" "feedback aggregator" "feedback" Note Warning, "R";
    trigger ["more than 1 % of records SUSPECT in an hour", "한 시간 기록의 1 % 넘게 SUSPECT"];
    action ["none; publishing stopped", "주문 영향 없음. 발행을 중단"];
    next ["check feed and clock", "시세와 시계를 확인하십시오"];

    GR120 ["Cache breaker open", "캐시 차단기 열림"] "19" "cache facade" "cache" Note Warning, "R";
    trigger ["the breaker is OPEN; also the alarm on repeated fallback", "차단기가 OPEN. 대체 경로 반복 사용도 여기로 알림"];
    action ["none", "주문 영향 없음"];
    next ["check the cache server", "캐시 서버를 확인하십시오"];

    GR121 ["Cached price stale", "캐시 시세 지연"] "19" "cache facade" "cache" Note Info, "R";
    trigger ["price or book stale or missing for a wanted symbol", "필요한 종목의 가격이나 호가가 오래되었거나 없음"];
    action ["entry of the symbol blocked", "해당 종목의 진입 차단"];
    next ["nothing; check the feed if it lasts", "조치 불필요. 계속되면 시세 연결을 확인하십시오"];

    GR122 ["Cache hit rate low", "캐시 적중률 저하"] "19" "cache facade" "cache" Note Info, "R";
    trigger ["hit rate below its alert level", "적중률이 알림 수준보다 낮음"];
    action ["none", "주문 영향 없음"];
    next ["nothing", "조치 불필요"];

    GR123 ["Cache clock offset", "캐시 시계 차이"] "19" "cache facade" "cache" Note Warning, "R";
    trigger ["clock offset, or timestamps in the future", "시계 차이가 있거나 미래의 시각이 기록됨"];
    action ["prices of other hosts refused", "다른 서버의 가격을 거부"];
    next ["repair time synchronisation of the hosts", "서버들의 시각 동기화를 고치십시오"];

    GR124 ["Bad cache key", "잘못된 캐시 키"] "19" "cache facade" "cache" Note Warning, "R";
    trigger ["an immortal, ghost or wrong-type key was found", "만료가 없거나 주인이 없거나 형식이 틀린 키를 발견"];
    action ["none; key deleted", "주문 영향 없음. 키를 삭제"];
    next ["find out who writes such keys", "누가 그런 키를 쓰는지 찾으십시오"];

    GR125 ["Fallback overload", "대체 경로 과부하"] "19" "cache facade" "cache" Note Warning, "R";
    trigger ["fallback overloaded for more than 5 s", "대체 경로가 5초 넘게 과부하"];
    action ["new SCALP entries suspended until clear", "해소될 때까지 SCALP 신규 진입을 정지"];
    next ["check the cache server and the load", "캐시 서버와 부하를 확인하십시오"];

    GR126 ["Foreign cache writer", "외부 캐시 기록자"] "19" "cache facade" "cache" Note Warning, "R";
    trigger ["a foreign writer or duplicate owner on the prefix", "같은 접두어에 다른 기록자나 중복된 주인이 있음"];
    action ["none; publishing stopped", "주문 영향 없음. 발행을 중단"];
    next ["stop the second engine or give it a prefix of its own", "두 번째 엔진을 멈추거나 다른 접두어를 지정하십시오"];
}
