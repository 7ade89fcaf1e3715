"""Taking changed files into a running engine: all of them or none, and never without a record."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import ValidationError

from qts.codes import ConfigError
from qts.config.classes import class_of, is_stricter
from qts.config.difference import Change, differences, setting
from qts.config.files import LOCAL_FILE, keys
from qts.config.local_entries import plant
from qts.config.manager import ConfigManager
from qts.config.messages import say
from qts.config.resolved import QtsConfig

if TYPE_CHECKING:
    from qts.clock import Clock

SAFETY_GROUPS: Final = frozenset(
    {"trading_enabled", "live_enabled", "pipeline_paused", "safe_mode", "halt_all"}
    | {"lockdown", "guardrail", "warning", "recovery", "anomaly"}
)
"""What may change while the safety state is FAIL or LOCKDOWN."""


class ReloadRecord(NamedTuple):
    """An attempt to change the configuration of a running engine, for the audit trail."""

    at_ns: int
    """UTC nanoseconds."""
    by: str
    reason: str
    outcome: str
    """APPLIED, REFUSED (nothing has changed) or FAILED (recorded as applied, but the engine did not take it)."""
    old_version: str
    """Hash of the configuration before."""
    new_version: str
    """Hash of what the files say; empty if they do not validate."""
    changes: tuple[Change, ...]
    applied: tuple[str, ...]
    """Keys that hold from the next cycle on."""
    pending: tuple[str, ...]
    """Keys that hold from the next session on."""
    refusal: str
    """Why it was refused; empty if it was not."""


class ConfigReloader:
    """Holds the configuration of a running engine and changes it.

    Not safe to be called from several threads at once: call it where `apply` may run.

    Args:
        manager: reads the files again.
        current: the configuration that the engine runs on.
        clock: labels the records.
        apply: makes the engine run on a configuration from its next cycle on; raises without having changed anything.
        audit: makes a record durable before the change takes effect; what it raises refuses the change.
        open_positions: how many positions are open; None = unknown, which counts as open.
        on_invalid: told of files that do not validate: FS003, in a running engine of effect FAIL.
        safety_state: NORMAL, WARNING, FAIL or LOCKDOWN; in the last two only safety keys may change.
    """

    def __init__(
        self,
        manager: ConfigManager,
        current: QtsConfig,
        *,
        clock: "Clock",
        apply: Callable[[QtsConfig], object],
        audit: Callable[[ReloadRecord], object],
        open_positions: Callable[[], int | None],
        on_invalid: Callable[[ConfigError], object] | None = None,
        safety_state: Callable[[], str] | None = None,
    ) -> None:
        self._manager = manager
        self._current = current
        self._wanted = current
        self._clock = clock
        self._apply = apply
        self._audit = audit
        self._open_positions = open_positions
        self._on_invalid = on_invalid
        self._safety_state = safety_state

    @property
    def current(self) -> QtsConfig:
        """The configuration that the engine runs on."""
        return self._current

    def begin_session(self) -> QtsConfig:
        """Take in what waited for this session, and return the configuration that holds now."""
        if self._wanted is not self._current:
            self._apply(self._wanted)
            self._current = self._wanted
        return self._current

    def reload(self, *, by: str, reason: str, confirm: bool = False) -> ReloadRecord:
        """Read the files again and take in what has changed, all of it or nothing.

        Args:
            by: who asks.
            reason: why, for the record.
            confirm: the second confirmation that DANGER keys need.

        Raises:
            ConfigError: FS003 or a refusal; the engine runs on as before.
        """
        try:
            wanted = self._load(reason)
        except ConfigError as error:
            self._refused(error, by, reason)
            raise
        changes = tuple(differences(self._current, wanted))
        try:
            effective = self._permitted(wanted, changes, confirm=confirm)
        except ConfigError as error:
            self._refused(error, by, reason, wanted.config_hash, changes)
            raise
        applied = tuple(change.key for change in changes if _is_immediate(self._current, wanted, change))
        record = ReloadRecord(
            at_ns=self._clock.now_ns(),
            by=by,
            reason=reason,
            outcome="APPLIED",
            old_version=self._current.config_hash,
            new_version=wanted.config_hash,
            changes=changes,
            applied=applied,
            pending=tuple(change.key for change in changes if change.key not in applied),
            refusal="",
        )
        if changes:
            self._take(record, effective, wanted)
        return record

    def _load(self, reason: str) -> QtsConfig:
        if not reason.strip():
            raise ConfigError(found=say("reload_reason"), expected=say("reload_reason_expected"))
        try:
            return self._manager.load()
        except ConfigError as error:
            if self._on_invalid is not None:
                self._on_invalid(error)
            raise

    def _take(self, record: ReloadRecord, effective: QtsConfig, wanted: QtsConfig) -> None:
        """Record the change, then make it."""
        try:
            self._audit(record)
        except Exception as error:
            raise ConfigError(found=say("reload_audit", reason=error), expected=say("reload_audit_expected")) from error
        if record.applied:
            try:
                self._apply(effective)
            except Exception:
                self._audit(record._replace(at_ns=self._clock.now_ns(), outcome="FAILED", applied=(), pending=()))
                raise
        self._current, self._wanted = effective, wanted

    def _refused(
        self, error: ConfigError, by: str, reason: str, new_version: str = "", changes: tuple[Change, ...] = ()
    ) -> None:
        now_ns, old_version = self._clock.now_ns(), self._current.config_hash
        record = ReloadRecord(now_ns, by, reason, "REFUSED", old_version, new_version, changes, (), (), str(error))
        with suppress(Exception):  # nothing has changed, and the refusal is what the operator has to hear
            self._audit(record)

    def _permitted(self, wanted: QtsConfig, changes: tuple[Change, ...], *, confirm: bool) -> QtsConfig:
        """Return the configuration that would hold from the next cycle on."""
        files = {key.name: key.file for key in keys()}
        tables = [change.file for change in changes if change.key not in files]
        restart = [name for name in _names(changes, files) if class_of(name).reload == "RESTART"]
        if tables:
            restart.append(say("reload_reference", tables=", ".join(dict.fromkeys(tables))))
        if restart:
            raise ConfigError(
                found=say("reload_restart", keys=", ".join(restart)),
                expected=say("reload_restart_expected"),
                hint=say("reload_restart_hint"),
            )
        self._check_safety(changes)
        danger = [change for change in changes if class_of(change.key).tag == "DANGER"]
        loose = [
            change.key
            for change in danger
            if not is_stricter(
                change.key,
                setting(self._current, change.key, change.file),
                setting(wanted, change.key, change.file),
            )
        ]
        self._check_positions(loose)
        if danger and not confirm:
            raise ConfigError(
                found=say("reload_confirm", keys=", ".join(change.key for change in danger)),
                expected=say("reload_confirm_expected"),
                hint=say("reload_confirm_hint"),
            )
        now = {
            change.key: (change.file, setting(wanted, change.key, change.file))
            for change in changes
            if _is_immediate(self._current, wanted, change)
        }
        return with_settings(self._current, now, wanted.sources)

    def _check_positions(self, danger: list[str]) -> None:
        count = self._open_positions() if danger else 0
        if count == 0:
            return
        listed = ", ".join(danger)
        unknown = count is None
        raise ConfigError(
            found=say("reload_positions_unknown", keys=listed)
            if unknown
            else say("reload_positions", keys=listed, count=count),
            expected=say("reload_positions_expected"),
            hint=say("reload_positions_hint"),
        )

    def _check_safety(self, changes: tuple[Change, ...]) -> None:
        state = "NORMAL" if self._safety_state is None else self._safety_state()
        if state in {"NORMAL", "WARNING"}:
            return
        if any(change.key.partition(".")[0] not in SAFETY_GROUPS for change in changes):
            raise ConfigError(
                found=say("reload_safety", state=state, groups=", ".join(sorted(SAFETY_GROUPS))),
                hint=say("reload_safety_hint"),
            )


def _names(changes: tuple[Change, ...], files: Mapping[str, str]) -> list[str]:
    return [change.key for change in changes if change.key in files]


def _is_immediate(old: QtsConfig, new: QtsConfig, change: Change) -> bool:
    kind = class_of(change.key).reload
    if kind == "TIGHTEN_NOW":
        return is_stricter(change.key, setting(old, change.key, change.file), setting(new, change.key, change.file))
    return kind == "HOT"


def with_settings(config: QtsConfig, values: Mapping[str, tuple[str, object]], sources: Mapping[str, str]) -> QtsConfig:
    """Return a configuration with some keys changed; `values` are (file, value) by key.

    Raises:
        ConfigError: FS003, what holds now and what waits for the next session do not go together.
    """
    tree = config.model_dump(by_alias=True)
    homes = {LOCAL_FILE: "local.", "pipeline.yaml": "pipeline.", "safety.yaml": "safety."}
    for key, (file, value) in values.items():
        home = "strategies." if file.startswith("strategies/") else homes.get(file, "")
        plant(tree, f"{home}{key}", value)
    merged = {**config.sources, **{key: sources[key] for key in values if key in sources}}
    try:
        return QtsConfig.model_validate({**tree, "sources": merged})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        order = str(first.get("ctx", {}).get("order", first["msg"]))
        raise ConfigError(
            found=say("reload_mix", keys=", ".join(values)),
            expected=order,
            where=".".join(map(str, first["loc"])),
            hint=say("ordered_hint"),
            code="FS003",
        ) from None
