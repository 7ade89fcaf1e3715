//! The execution gate, the kill switch, and codes of single engines (spec 01 §4.1, §6.1; spec 02 §5).

codes! {
    G_EXE_SYMBOL_EMPTY ["No symbol", "종목 없음"] "01" "execution gate" "Act" Note, "E";
    trigger ["the order has no symbol", "주문에 종목이 없음"];
    action ["REJECTED", "거부(REJECTED)"];
    next ["correct the strategy that made the intent", "주문 의도를 만든 전략을 고치십시오"];

    G_EXE_QTY_NONPOSITIVE ["Quantity not positive", "주문 수량 없음"] "01" "execution gate" "Act" Note, "E";
    trigger ["the quantity is missing, zero or below", "수량이 없거나 0 이하"];
    action ["REJECTED", "거부(REJECTED)"];
    next ["correct the strategy or its sizing", "전략이나 수량 계산을 고치십시오"];

    G_EXE_TRADING_DISABLED ["Trading disabled", "거래 비활성"] "01" "execution gate" "Act" Note, "E";
    trigger ["`trading_enabled` is not exactly true", "`trading_enabled`가 정확히 참이 아님"];
    action ["REJECTED; protective exits pass", "거부(REJECTED). 보호 청산은 통과"];
    next ["set `trading_enabled` to true when you mean to trade", "실제로 거래하려면 `trading_enabled`를 true로 두십시오"];

    G_EXE_KILLSWITCH_ON ["Kill switch on", "킬 스위치 작동 중"] "01" "execution gate" "Act" Note, "E";
    trigger ["the kill switch is engaged", "킬 스위치가 작동 중"];
    action ["REJECTED; protective exits pass", "거부(REJECTED). 보호 청산은 통과"];
    next ["release the kill switch, then approve", "킬 스위치를 해제한 뒤 승인(approve)하십시오"];

    G_EXE_ANOMALY ["Blocking anomaly", "차단 이상 징후"] "01" "execution gate" "Act" Note, "E";
    trigger ["a blocking anomaly flag is set", "차단 이상 징후 플래그가 켜져 있음"];
    action ["REJECTED; protective exits pass", "거부(REJECTED). 보호 청산은 통과"];
    next ["look up the AN code of the flag", "플래그의 AN 코드를 찾아보십시오"];

    G_EXE_NOOP_POLICY ["No-op executor", "무동작 집행기"] "01" "execution gate" "Act" Note, "E";
    trigger ["the executor in use sends nothing", "사용 중인 집행기가 주문을 보내지 않음"];
    action ["SKIPPED", "건너뜀(SKIPPED)"];
    next ["choose another executor if orders should leave", "주문을 내보내려면 다른 집행기를 고르십시오"];

    G_EXE_MODE ["Mode mismatch", "모드 불일치"] "01" "execution gate" "Act" Note, "R";
    trigger ["the order's mode differs from the executor's, or the live gate is closed", "주문의 모드가 집행기와 다르거나 실거래 게이트가 닫혀 있음"];
    action ["REJECTED", "거부(REJECTED)"];
    next ["check run mode and live gate in the configuration", "설정의 실행 모드와 실거래 게이트를 확인하십시오"];

    G_EXE_STATE ["Refused by the safety state", "안전 상태에 따른 거부"] "01" "execution gate" "Act" Note, "R";
    trigger ["the permission matrix forbids this class of action", "권한표가 이 종류의 동작을 허용하지 않음"];
    action ["REJECTED", "거부(REJECTED)"];
    next ["deal with the code that raised the safety state", "안전 상태를 올린 코드를 처리하십시오"];

    G_SIM_NO_REFERENCE_PRICE ["No reference price", "기준 가격 없음"] "01" "simulated broker" "Act" Note, "E";
    trigger ["the simulator has no reference price for the symbol", "시뮬레이터에 해당 종목의 기준 가격이 없음"];
    action ["REJECTED", "거부(REJECTED)"];
    next ["feed a quote or a trade of the symbol first", "먼저 해당 종목의 호가나 체결을 공급하십시오"];

    KS ["Kill switch engaged", "킬 스위치 작동"] "01" "kill switch" "any" Lockdown, "E, R";
    trigger ["K1, K2 or K3 engaged by an operator, a rule, a file or the environment", "운영자, 규칙, 파일 또는 환경 변수가 K1, K2, K3를 작동"];
    action ["K1: no new cycles, no entries. K2: working orders are cancelled as well. K3: positions are closed as well", "K1: 새 사이클과 진입 중단. K2: 미체결 주문도 취소. K3: 보유 포지션도 청산"];
    release ["release of the kill switch, then approval", "킬 스위치 해제 후 승인"];
    next ["when the reason is gone, release the kill switch, then approve", "사유가 해소되면 킬 스위치를 해제한 뒤 승인(approve)하십시오"];

    SE010 ["Strategy raised", "전략 예외"] "02" "strategy engine" "Evaluate" Note, "02, R";
    trigger ["a strategy raised an exception", "전략에서 예외가 발생"];
    action ["no signal; three in a row suspend it", "신호 없음. 3회 연속이면 전략을 정지"];
    next ["correct the strategy; the log has the place", "전략을 고치십시오. 위치는 로그에 있습니다"];
}
