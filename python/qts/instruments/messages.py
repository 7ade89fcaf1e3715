"""What errors about instruments and calendars say, in both languages."""

from typing import Final

from qts.codes import Phrasebook

say: Final = Phrasebook(
    {
        "unknown_symbol": ("unknown symbol {symbol!r}", "알 수 없는 종목 {symbol!r}"),
        "unknown_symbol_expected": (
            "a symbol of reference/instruments.yaml: {known}",
            "reference/instruments.yaml에 있는 종목: {known}",
        ),
        "unknown_symbol_hint": (
            "add it to reference/instruments.yaml; copy the rows of an instrument of its kind",
            "reference/instruments.yaml에 추가하십시오. 같은 종류의 종목 항목을 복사하면 됩니다",
        ),
        "bad_instrument": (
            "instrument {symbol!r} is not usable: {reason}",
            "종목 {symbol!r}을(를) 쓸 수 없습니다: {reason}",
        ),
        "bad_instrument_expected": (
            "scales, lot, price increment and tables that fit together",
            "서로 맞는 소수 자릿수, 매매 단위, 가격 단위와 표",
        ),
        "bad_instrument_hint": (
            "correct its class in reference/instruments.yaml",
            "reference/instruments.yaml에서 그 종류를 고치십시오",
        ),
        "bad_number": ("{what} {value!r} of {symbol}", "{symbol}의 {what} {value!r}"),
        "bad_number_expected": (
            "a plain decimal number with at most {scale} decimals",
            "소수점 이하 {scale}자리까지의 십진수",
        ),
        "bad_number_hint": ("write it as 1234.5", "1234.5 형식으로 쓰십시오"),
        "price": ("price", "가격"),
        "quantity": ("quantity", "수량"),
        "outside_calendar": (
            "day {day} lies outside the calendar {name}",
            "{day}은(는) {name} 달력의 범위 밖입니다",
        ),
        "outside_calendar_expected": ("a day from {first} to {last}", "{first}부터 {last}까지의 날짜"),
        "outside_calendar_hint": (
            "extend first_day or last_day in reference/calendar.yaml",
            "reference/calendar.yaml의 first_day 또는 last_day를 넓히십시오",
        ),
        "closed_day": ("{day} is no trading day of {name}", "{day}은(는) {name}의 거래일이 아닙니다"),
        "closed_day_expected": (
            "a trading day; the next one is {next_day}",
            "거래일. 다음 거래일은 {next_day}",
        ),
        "closed_day_hint": ("choose a trading day", "거래일을 고르십시오"),
        # corporate actions
        "action_closed": (
            "{entry}: {field} {day} is no trading day of {name}",
            "{entry}: {field} {day}은(는) {name}의 거래일이 아닙니다",
        ),
        "action_closed_hint": (
            "correct the day by the company's notice; nothing was booked",
            "회사 공시를 보고 날짜를 고치십시오. 아무것도 기장하지 않았습니다",
        ),
        "negative_holding": ("{track} holds {qty} of {symbol}", "{track}의 {symbol} 보유 수량이 {qty}입니다"),
        "negative_holding_expected": ("a quantity that is not below zero", "0 이상의 수량"),
        "negative_holding_hint": (
            "reconcile the position with the broker; no entitlement was recorded",
            "증권사와 보유 수량을 대사하십시오. 배당 권리는 기록하지 않았습니다",
        ),
        "split_lost": (
            "{symbol}, {track}: {before} shares became {after}, rest {rest}",
            "{symbol}, {track}: {before}주가 {after}주가 되었고 나머지는 {rest}입니다",
        ),
        "split_expected": (
            "{numerator} shares for every {denominator}",
            "{denominator}주당 {numerator}주",
        ),
        "split_refused": (
            "the split of {symbol} on {day} cannot be applied: {reason}",
            "{day} {symbol} 분할·병합을 적용할 수 없습니다: {reason}",
        ),
        "split_refused_expected": ("no working order of the symbol", "그 종목의 미체결 주문이 없음"),
        "split_refused_hint": (
            "end its orders; the close tries again, and the symbol is not to be traded before",
            "주문을 끝내십시오. 마감이 다시 시도하며, 그 전에는 이 종목을 거래하지 마십시오",
        ),
        "split_hint": ("report this as a defect", "결함으로 신고하십시오"),
        "no_library_calendar": ("there is no calendar {name!r}", "달력 {name!r}이(가) 없습니다"),
        "no_library_calendar_expected": (
            "a calendar of the library exchange_calendars, such as XKRX",
            "exchange_calendars 라이브러리의 달력 이름 (예: XKRX)",
        ),
        "no_library_calendar_hint": (
            "correct `library` in reference/calendar.yaml",
            "reference/calendar.yaml의 `library`를 고치십시오",
        ),
    }
)
