"""What the consumers say to an operator, in English and Korean."""

from typing import Final

from qts.codes import Phrasebook

text: Final = Phrasebook(
    {
        "INFO": ("INFO", "정보"),
        "WARNING": ("WARNING", "경고"),
        "CRITICAL": ("CRITICAL", "심각"),
        "repeated": ("{times} more since the last time", "지난번 이후 {times}건 더 있음"),
        "stands_for": ("stands for {weight}", "{weight}건을 대표함"),
        "trouble": (
            "{path} cannot be written ({error}); this is said once. {effect}",
            "{path}에 쓸 수 없습니다({error}). 이 안내는 한 번만 표시됩니다. {effect}",
        ),
        "over": (
            "{path} can be written again; lines lost meanwhile: {lost}",
            "{path}에 다시 쓸 수 있습니다. 그동안 잃은 줄 수: {lost}",
        ),
        "lines_lost": (
            "Log lines are lost until it can be written again: make room or check its permissions.",
            "다시 쓸 수 있을 때까지 로그가 남지 않습니다. 공간을 확보하거나 권한을 확인하십시오.",
        ),
        "lines_wait": (
            "The lines are kept in memory and written when that is possible: make room or check its permissions.",
            "기록은 메모리에 보관되며 쓸 수 있게 되면 기록됩니다. 공간을 확보하거나 권한을 확인하십시오.",
        ),
        "state_in_memory": (
            "Readers in this process still see the newest state: make room or check its permissions.",
            "이 프로세스에서는 최신 상태를 계속 볼 수 있습니다. 공간을 확보하거나 권한을 확인하십시오.",
        ),
        "notifier": (
            "the notifier {name} fails ({error}); this is said once. The message is in {path}.",
            "알림 수단 {name}이(가) 실패했습니다({error}). 이 안내는 한 번만 표시됩니다. 알림은 {path}에 있습니다.",
        ),
    }
)
