//! Guardrails of the risk gates (spec 01 §4). They act on one order and end with their condition.

codes! {
    GR001 ["Exposure limit", "총 노출 한도"] "01" "risk engine" "Evaluate" Note Warning, "07, E";
    trigger ["gross exposure after the order above `risk.max_exposure_pct`", "주문 후 총 노출이 `risk.max_exposure_pct`를 넘음"];
    action ["capped to the headroom, blocked if there is none", "여유만큼 줄이고, 여유가 없으면 차단"];
    next ["nothing; lower sizes if it comes often", "조치 불필요. 잦으면 주문 규모를 줄이십시오"];

    GR002 ["Position count", "보유 종목 수 한도"] "01" "risk engine" "Evaluate" Note Warning, "S, R";
    trigger ["as many open symbols as the operating state allows (20, 15 or 10)", "보유 종목 수가 운영 상태의 최대치(20/15/10)에 도달"];
    action ["entry blocked", "진입 차단"];
    next ["nothing; it ends when a position closes", "조치 불필요. 보유 종목이 줄면 해제됩니다"];

    GR010 ["Symbol weight", "종목 비중 한도"] "01" "risk engine" "Evaluate" Note Warning, "07, E";
    trigger ["value of the symbol after the order above `risk.max_symbol_exposure_pct` of equity", "주문 후 종목 평가액이 자산의 `risk.max_symbol_exposure_pct`를 넘음"];
    action ["capped", "한도까지 축소"];
    next ["nothing; lower sizes if it comes often", "조치 불필요. 잦으면 주문 규모를 줄이십시오"];

    GR011 ["Sector weight", "업종 비중 한도"] "01" "risk engine" "Evaluate" Note Warning, "R";
    trigger ["sector above `risk.sector_limit_pct` (30 %)", "업종 비중이 `risk.sector_limit_pct`(30 %)를 넘음"];
    action ["capped", "한도까지 축소"];
    next ["nothing; spread the strategy over more sectors if it comes often", "조치 불필요. 잦으면 업종을 분산하십시오"];

    GR020 ["Daily loss warning", "일일 손실 경고"] "01" "risk engine" "Evaluate" Warn Warning, "07, E";
    trigger ["the day's result at or below −`risk.daily_loss_warning_pct`", "당일 손익이 −`risk.daily_loss_warning_pct` 이하"];
    action ["entries blocked, exits free", "진입 차단, 청산은 자유"];
    release ["the loss has recovered, or the next session", "손실 회복 또는 다음 거래일"];
    next ["review the day; FS052 follows at the limit", "오늘 거래를 검토하십시오. 한도에 이르면 FS052가 발생합니다"];

    GR021 ["Drawdown warning", "낙폭 경고"] "01" "risk engine" "Evaluate" Note Warning, "S";
    trigger ["drawdown of 5 % or more; 10 % is danger", "낙폭 5 % 이상 경고, 10 % 이상 위험"];
    action ["entries halved, from 10 % on blocked", "진입 수량을 절반으로, 10 %부터 차단"];
    next ["review the strategies in the report", "보고서에서 전략을 검토하십시오"];

    GR030 ["Signal conflict", "신호 충돌"] "01" "pipeline" "Evaluate" Note Warning, "07, E";
    trigger ["BUY and SELL for one symbol in one cycle", "한 사이클에서 같은 종목의 매수와 매도 신호가 동시에 발생"];
    action ["resolved by arbitration, else both are dropped", "중재 규칙으로 정리하고, 안 되면 둘 다 버림"];
    next ["check whether two strategies work against each other", "두 전략이 서로 반대로 움직이지 않는지 확인하십시오"];

    GR031 ["Risk not approved", "리스크 미승인"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["the risk engine has not approved the order", "리스크 엔진이 주문을 승인하지 않음"];
    action ["blocked", "차단"];
    next ["read the reason in the decision log", "의사 결정 로그에서 사유를 확인하십시오"];

    GR032 ["Sell without position", "보유 없는 매도"] "01" "risk engine" "Decide" Note Warning, "07, R";
    trigger ["sell quantity above the sellable quantity", "매도 수량이 매도 가능 수량을 넘음"];
    action ["capped to the holding, blocked if there is none", "보유 수량까지 축소, 보유가 없으면 차단"];
    next ["check how the strategy learns of its position", "전략이 보유 수량을 어떻게 파악하는지 확인하십시오"];

    GR033 ["Duplicate order", "중복 주문"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["the same fingerprint within 60 s, or a working order of the same symbol, side and track", "60초 안에 같은 주문 지문, 또는 같은 종목·방향·트랙의 미체결 주문"];
    action ["blocked", "차단"];
    next ["nothing; correct the strategy if it comes often", "조치 불필요. 잦으면 전략을 고치십시오"];

    GR034 ["Session closed", "거래 시간 아님"] "01" "pipeline" "Decide" Note Warning, "00";
    trigger ["the session phase does not permit the strategy or order type", "현재 장 구분이 해당 전략이나 주문 유형을 허용하지 않음"];
    action ["blocked", "차단"];
    next ["nothing; check the calendar if the market should be open", "조치 불필요. 장중이어야 한다면 휴장일 설정을 확인하십시오"];

    GR035 ["VI, halt or designation", "VI·거래 정지·지정 종목"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["the instrument is not in continuous trading", "해당 종목이 접속매매 상태가 아님"];
    action ["held or blocked", "보류 또는 차단"];
    next ["nothing; it ends when the symbol trades again", "조치 불필요. 거래가 재개되면 해제됩니다"];

    GR036 ["Tick or price band", "호가 단위·가격 제한"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["price off the tick ladder or beyond the daily limits", "가격이 호가 단위에 맞지 않거나 상·하한가를 벗어남"];
    action ["re-priced against us, else blocked", "우리에게 불리한 쪽으로 조정하고, 안 되면 차단"];
    next ["nothing; check the tick ladder of the instrument if it comes often", "조치 불필요. 잦으면 종목의 호가 단위표를 확인하십시오"];

    GR037 ["Stale quote", "오래된 호가"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["quote older than 3 s, for SCALP 300 ms", "호가가 3초(SCALP는 300 ms)보다 오래됨"];
    action ["blocked", "차단"];
    next ["check the feed if it comes often", "잦으면 시세 연결을 확인하십시오"];

    GR038 ["Rate limit", "주문 속도 제한"] "01" "execution gate" "Act" Note Warning, "08, R";
    trigger ["the broker's or our own order rate exceeded (10 a second, 300 in 10 min)", "증권사 또는 자체 주문 속도(초당 10건, 10분당 300건)를 넘음"];
    action ["queued for 1 s, then blocked", "1초 대기 후 차단"];
    next ["nothing; fewer or larger orders if it comes often", "조치 불필요. 잦으면 주문 횟수를 줄이십시오"];

    GR039 ["Self-match", "자기 체결"] "01" "pipeline" "Act" Note Warning, "R";
    trigger ["the order would cross a working order of our own", "자신의 미체결 주문과 체결될 수 있는 주문"];
    action ["the older entry is cancelled, or this one blocked", "먼저 낸 진입 주문을 취소하거나 이 주문을 차단"];
    next ["check whether two strategies work against each other", "두 전략이 서로 반대로 움직이지 않는지 확인하십시오"];

    GR040 ["Position mismatch", "포지션 불일치"] "01" "position check" "Decide" Note Warning, "07, E";
    trigger ["shadow and book differ for the symbol", "해당 종목의 섀도 포지션과 장부가 다름"];
    action ["symbol blocked and reconciled", "종목을 차단하고 대사"];
    next ["wait for the reconciliation", "대사 결과를 기다리십시오"];

    GR041 ["Price inconsistent", "가격 불일치"] "01" "pipeline" "Decide" Note Warning, "R";
    trigger ["decision price and quote differ by more than 1 %", "결정 가격과 현재 호가가 1 % 넘게 차이"];
    action ["blocked", "차단"];
    next ["nothing; a strategy that decides on old prices should be corrected", "조치 불필요. 오래된 가격으로 결정하는 전략은 고치십시오"];

    GR042 ["Buying power", "매수 가능 금액"] "01" "risk engine" "Decide" Note Warning, "R";
    trigger ["cost above the amount that can be ordered", "필요 금액이 주문 가능 금액을 넘음"];
    action ["capped", "가능 금액까지 축소"];
    next ["nothing; lower sizes or add cash if it comes often", "조치 불필요. 잦으면 주문 규모를 줄이거나 예수금을 늘리십시오"];

    GR043 ["Liquidity", "유동성 한도"] "01" "risk engine" "Evaluate" Note Warning, "00, R";
    trigger ["quantity above 1 % of the average daily volume, or above 20 % of the depth of five levels", "수량이 일평균 거래량의 1 % 또는 5호가 잔량의 20 %를 넘음"];
    action ["capped", "한도까지 축소"];
    next ["nothing; trade more liquid symbols if it comes often", "조치 불필요. 잦으면 유동성이 큰 종목을 거래하십시오"];
}
