"""Which part of the port answers which verb."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from qts.codes import Lang
from qts.ops.operator.contracts import Login, Operator, Outcome
from qts.ops.operator.messages import say
from qts.ops.operator.status import override_row, report
from qts.ops.operator.wire import VERBS, Refusal

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.ops.operator.interfaces import CapitalControls, OperatorPort, ReloadControls, SafetyControls, StateControls

_PART_OF: Final = {
    "kill": "safety",
    "pause": "safety",
    "resume": "safety",
    "ack": "safety",
    "approve.request": "safety",
    "approve": "safety",
    "release.request": "safety",
    "release": "safety",
    "override.set": "state",
    "override.clear": "state",
    "override.show": "state",
    "reload": "reload",
    "capital.unlock": "capital",
}


class Desk:
    """Carries out requests that make sense. Safe to be called from several threads as far as the port is."""

    def __init__(self, port: "OperatorPort", clock: "Clock") -> None:
        self._port = port
        self._clock = clock

    def verbs(self) -> list[str]:
        """Return the verbs for which something stands behind the desk."""
        return [verb for verb in VERBS if self._part(verb) is not None]

    def require(self, verb: str, lang: Lang) -> None:
        """Return if something stands behind `verb`.

        Raises:
            Refusal: the part that it needs is not built.
        """
        if self._part(verb) is None:
            found = say("not_provided", lang, verb=verb, part=say(f"part_{_PART_OF[verb]}", lang))
            expected = say("not_provided_expected", lang, known=", ".join(self.verbs()))
            raise Refusal("not_provided", found, expected)

    def do(self, verb: str, args: Mapping[str, Any], by: Operator) -> dict[str, object]:
        """Carry out a verb that `require` has let pass, and return the result for the wire. May block."""
        part = self._part(verb)
        if verb == "status":
            return report(self._port, self._clock)
        if verb == "override.show":
            controls: StateControls = part
            return {"override": override_row(controls.operating())}
        return _result(self._command(verb, args, by, part))

    def _part(self, verb: str) -> Any:  # noqa: ANN401 - one of the protocols, by verb
        return getattr(self._port, _PART_OF.get(verb, "engine"))

    def _command(self, verb: str, args: Mapping[str, Any], by: Operator, part: Any) -> Outcome:  # noqa: ANN401
        if verb == "stop":
            return self._port.engine.stop(by=by)
        if verb == "reload":
            files: ReloadControls = part
            return files.reload(by=by, **args)
        if verb == "capital.unlock":
            pools: CapitalControls = part
            return pools.unlock(by=by, **args)
        if verb == "override.set":
            state: StateControls = part
            return state.set_override(args["state"], by=by, **{name: args[name] for name in args if name != "state"})
        if verb == "override.clear":
            return part.clear_override(by=by, **args)  # type: ignore[no-any-return]
        safety: SafetyControls = part
        if verb == "kill":
            return safety.kill(args["level"], by=by, cause=args["cause"])
        if verb in {"pause", "resume"}:
            return safety.set_safe_mode(is_on=verb == "pause", by=by, reason=args["reason"])
        login = Login(args["operator"], args["secret"])
        given = {name: args[name] for name in args if name not in {"operator", "secret"}}
        calls: dict[str, Callable[..., Outcome]] = {
            "ack": safety.ack,
            "approve.request": safety.request_approve,
            "approve": safety.approve,
            "release.request": safety.request_release,
            "release": safety.release,
        }
        return calls[verb](**given, by=by, login=login)


def _result(outcome: Outcome) -> dict[str, object]:
    return {"applied": outcome.applied, "reason": outcome.reason, "detail": dict(outcome.detail)}
