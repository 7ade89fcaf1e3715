"""What never appears in a log: credentials and whole account numbers."""

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"
_ACCOUNT_DIGITS: Final = 3
_SECRET: Final = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|appkey|app_key|api_key|apikey|appsecret|authorization|credential)s?(?:$|_)",
    re.IGNORECASE,
)
_ACCOUNT: Final = re.compile(r"(?:^|_)(?:account|acct|cano)(?:$|_(?:no|number|id)$)", re.IGNORECASE)


def masked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with secrets replaced and account numbers cut to their last three digits, by the fields' names."""
    return {name: _value(name, value) for name, value in fields.items()}


def _value(name: str, value: object) -> object:
    if _SECRET.search(name):
        return MASK
    if _ACCOUNT.search(name) and isinstance(value, str | int):
        digits = str(value)
        return MASK + digits[-_ACCOUNT_DIGITS:] if len(digits) > _ACCOUNT_DIGITS else MASK
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_value(name, item) for item in value]
    return value
