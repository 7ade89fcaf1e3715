//! Anomalies (spec 01 §5). A LOW one is counted, a MEDIUM one arms a guardrail, a HIGH one has its linked code tested.

codes! {
    AN001 ["Price shock", "가격 급변"] "01" "anomaly engine" "Extract" Warn Medium, "07, R";
    trigger ["a move of 5 % or more within 60 s, or a volatility interruption", "60초 안에 5 % 이상 변동, 또는 변동성 완화장치(VI) 발동"];
    action ["a guardrail is armed for the symbol", "해당 종목의 가드레일을 강화"];
    release ["the symbol has calmed down", "해당 종목이 진정됨"];
    next ["look for news of the symbol", "해당 종목의 뉴스를 확인하십시오"];

    AN002 ["Volume anomaly", "거래량 이상"] "01" "anomaly engine" "Extract" Warn Low, "07";
    trigger ["volume of one minute above 10 times the 20-day mean of that minute", "1분 거래량이 같은 시각 20일 평균의 10배를 넘음"];
    action ["counted", "집계"];
    release ["volume is back to usual", "거래량이 평소 수준"];
    next ["look for news of the symbol", "해당 종목의 뉴스를 확인하십시오"];

    AN010 ["Symbol or price data missing", "종목·가격 데이터 없음"] "01" "anomaly engine" "Extract" Warn Medium, "07";
    trigger ["a subscribed symbol has no price 60 s after the open", "구독 종목이 개장 60초 뒤에도 가격이 없음"];
    action ["no entries of the symbol", "해당 종목의 진입을 차단"];
    release ["the symbol has a price", "해당 종목의 가격 수신"];
    next ["check subscription and trading status of the symbol", "해당 종목의 구독과 거래 상태를 확인하십시오"];

    AN011 ["Stale or gapped feed", "시세 지연·누락"] "01" "anomaly engine" "Extract" Warn Medium, "R";
    trigger ["no update for more than 3 s while the market trades, or a gap in the sequence", "장중 3초 넘게 갱신이 없거나 일련번호가 건너뜀"];
    action ["a guardrail is armed for entries", "진입 가드레일을 강화"];
    release ["the feed is current", "시세 정상"];
    next ["check the feed connection", "시세 연결을 확인하십시오"];

    AN012 ["Feed disagreement", "시세 간 불일치"] "01" "anomaly engine" "Extract" Warn Medium, "R";
    trigger ["stream and broker quote differ by more than 1 % for 3 s", "실시간 시세와 증권사 조회 호가가 3초간 1 % 넘게 다름"];
    action ["a guardrail is armed for the symbol", "해당 종목의 가드레일을 강화"];
    release ["both agree", "두 값이 일치"];
    next ["find out which of the two is late", "둘 중 어느 쪽이 늦는지 확인하십시오"];

    AN020 ["PnL shock", "손익 급변"] "01" "anomaly engine" "Performance" Warn High, "07";
    trigger ["equity moves by 2 % or more within 60 s, not explained by marks", "평가 가격으로 설명되지 않는 자산 변동이 60초 안에 2 % 이상"];
    action ["FS070 and FS071 are tested at once", "FS070과 FS071을 즉시 점검"];
    release ["the move is explained", "변동 원인이 설명됨"];
    next ["compare the last fills with the broker's", "최근 체결을 증권사 내역과 대조하십시오"];

    AN030 ["Ledger inconsistency", "원장 순서 이상"] "01" "anomaly engine" "Transform" Warn Medium, "07";
    trigger ["a duplicate or out-of-order fill, or a missing sequence number", "체결이 중복되거나 순서가 바뀌었거나 일련번호가 빠짐"];
    action ["a guardrail is armed for the symbol", "해당 종목의 가드레일을 강화"];
    release ["the ledger is in order", "원장 순서가 정상"];
    next ["wait for the reconciliation", "대사 결과를 기다리십시오"];

    AN031 ["Position drift", "포지션 편차"] "01" "anomaly engine" "Transform" Warn Medium, "12, R";
    trigger ["shadow and book differ for 1 s", "섀도 포지션과 장부가 1초간 다름"];
    action ["a guardrail is armed for the symbol", "해당 종목의 가드레일을 강화"];
    release ["both agree", "두 값이 일치"];
    next ["wait for the reconciliation", "대사 결과를 기다리십시오"];

    AN040 ["Cycle-time surge", "사이클 시간 급증"] "01" "anomaly engine" "Performance" Warn Low, "07";
    trigger ["a cycle above 3 times the median of the last 100, or above its budget", "사이클이 최근 100회 중앙값의 3배 또는 예산을 넘음"];
    action ["counted", "집계"];
    release ["cycle time is back to usual", "사이클 시간이 평소 수준"];
    next ["check the load of the host", "서버 부하를 확인하십시오"];

    AN041 ["Clock drift", "시계 편차"] "01" "anomaly engine" "system" Warn Low, "R";
    trigger ["offset to the reference of 100 to 500 ms", "기준 시각과의 차이가 100~500 ms"];
    action ["counted", "집계"];
    release ["offset below 100 ms", "차이가 100 ms 미만"];
    next ["check time synchronisation of the host", "서버의 시각 동기화를 확인하십시오"];

    AN050 ["Broker slow", "증권사 응답 지연"] "01" "anomaly engine" "Act" Warn Low, "07";
    trigger ["p95 latency above 1 s over 20 calls; MEDIUM at the third time", "20회 호출의 p95 지연이 1초를 넘음. 세 번째부터 MEDIUM"];
    action ["counted; from MEDIUM on a guardrail is armed for entries", "집계. MEDIUM부터 진입 가드레일을 강화"];
    release ["latency is back to usual", "지연이 평소 수준"];
    next ["check the broker's notices and your network", "증권사 공지와 네트워크를 확인하십시오"];

    AN060 ["Market device", "시장 안정화 장치"] "01" "anomaly engine" "Extract" Warn Medium, "R";
    trigger ["circuit breaker, sidecar or market halt; for entries a circuit breaker weighs HIGH", "서킷 브레이커, 사이드카 또는 시장 거래 정지. 서킷 브레이커는 진입에 대해 HIGH"];
    action ["a guardrail is armed for entries", "진입 가드레일을 강화"];
    release ["the market trades again", "거래 재개"];
    next ["wait for the market; review open positions", "거래 재개를 기다리며 보유 종목을 점검하십시오"];

    AN061 ["Volatility regime", "변동성 국면 변화"] "01" "anomaly engine" "Extract" Warn Low, "R";
    trigger ["`vol_index` crosses a configured level", "`vol_index`가 설정된 수준을 넘나듦"];
    action ["counted", "집계"];
    release ["the index is back below the level", "지수가 다시 수준 아래"];
    next ["consider smaller positions", "포지션 축소를 검토하십시오"];

    AN070 ["Signal storm", "신호 폭주"] "01" "anomaly engine" "Evaluate" Warn Medium, "00";
    trigger ["more than 20 intents a minute, or more than 5 flips per symbol and hour, from one strategy", "한 전략의 주문 의도가 분당 20건을 넘거나 종목당 시간당 방향 전환이 5회를 넘음"];
    action ["the strategy is suspended", "해당 전략을 정지"];
    release ["an operator has released the strategy", "운영자가 전략 정지를 해제"];
    next ["check the strategy's parameters", "전략의 매개변수를 확인하십시오"];

    AN071 ["Reject storm", "거부 폭주"] "01" "anomaly engine" "Evaluate" Warn Low, "07";
    trigger ["10 risk rejections in a row for one strategy", "한 전략이 연속 10회 리스크 거부를 받음"];
    action ["counted", "집계"];
    release ["the strategy passes again", "전략의 주문이 다시 통과"];
    next ["compare the strategy's sizing with the limits", "전략의 수량 계산과 한도를 비교하십시오"];

    AN080 ["Operating-state evaluation impaired", "운영 상태 평가 장애"] "18a" "operating-state manager" "state" Warn Low, "18a, R";
    trigger ["a rule raised 3 passes in a row, or equity or NAV is older than 5 min in session", "규칙이 3회 연속 오류를 냈거나 장중 평가 자산·NAV가 5분보다 오래됨"];
    action ["counted", "집계"];
    release ["the evaluation works again", "평가 정상"];
    next ["read the rule's error in the log", "로그에서 규칙의 오류를 확인하십시오"];

    AN081 ["Capital evaluation impaired", "자본 평가 장애"] "14" "capital engine" "Transform" Warn Low, "14, R";
    trigger ["`evaluate` of the capital engine raised 3 cycles in a row", "자본 엔진의 `evaluate`가 3사이클 연속 오류"];
    action ["counted", "집계"];
    release ["the evaluation works again", "평가 정상"];
    next ["read the error in the log", "로그에서 오류를 확인하십시오"];
}
