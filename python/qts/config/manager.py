"""Reads, checks and resolves the configuration."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qts.codes import ConfigError, nearest, text
from qts.config.classes import class_of, is_stricter
from qts.config.cross import broken_names, broken_targets
from qts.config.environment import Setting, settings
from qts.config.errors import findings
from qts.config.files import FILES, LOCAL_FILE, SETTINGS, FileSpec, keys, leaves
from qts.config.findings import Finding, InvalidConfig
from qts.config.loader import Document, read_json, read_text, read_yaml
from qts.config.local_entries import nested, plant
from qts.config.messages import say
from qts.config.models.base import Section
from qts.config.paths import shipped_dir
from qts.config.resolved import QtsConfig

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class ConfigManager:
    """Resolves a configuration directory and overrides into one immutable object.

    Args:
        config_dir: directory with the files; None = the shipped one. A file that is absent there means its
            defaults, absent reference data mean the shipped ones.
        overrides: values by dotted key (`sim.seed`, `scalp.flat_at_close`), typed or as text; they win.
        environ: variables that set keys (see `qts.config.environment`), those of the process by default. They win
            over files, but may only tighten a limit that a file sets.
    """

    def __init__(
        self,
        config_dir: Path | None = None,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._dir = shipped_dir() if config_dir is None else config_dir
        self._overrides = dict(overrides or {})
        self._environ = environ

    def load(self) -> QtsConfig:
        """Return the resolved configuration.

        Raises:
            ConfigError: a file, key or value is wrong; it tells of the first and counts the others.
        """
        try:
            return self._resolve()
        except InvalidConfig as invalid:
            raise invalid.as_error() from None

    def findings(self) -> list[Finding]:
        """Return everything that is wrong, empty if nothing is."""
        try:
            self._resolve()
        except InvalidConfig as invalid:
            return invalid.findings
        return []

    def _resolve(self) -> QtsConfig:
        if not self._dir.is_dir():
            raise ConfigError(
                found=say("dir_missing", path=self._dir),
                expected=say("dir_expected"),
                hint=say("dir_hint"),
                code="FS003",
            )
        wrong = self._stray_files()
        sources: dict[str, str] = {}
        models: dict[str, Any] = {}
        overrides = self._overrides_by_file(wrong)
        environ = os.environ if self._environ is None else self._environ
        from_environment = settings(environ, [key.name for key in keys()], wrong)
        for spec in FILES:
            try:
                models[spec.name] = self._read(spec, overrides.get(spec.name, {}), from_environment, sources)
            except InvalidConfig as invalid:
                wrong += invalid.findings
        if wrong:
            raise InvalidConfig(wrong)
        config = _assemble(models, sources)
        wrong += broken_names(config.reference, config.pipeline)
        wrong += broken_targets(config.capital, config.operating_state)
        if wrong:
            raise InvalidConfig(wrong)
        return config

    def _stray_files(self) -> list[Finding]:
        """Return the files that nothing reads: a misspelt name would silently mean defaults."""
        known = {spec.name for spec in FILES}
        folders = [self._dir, self._dir / "strategies", self._dir / "reference"]
        wrong = []
        for folder in folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                name = path.relative_to(self._dir).as_posix()
                if path.suffix not in _SUFFIXES or name in known or path.is_dir():
                    continue
                near = nearest(name, known)
                hint = say("unknown_file_hint") if near is None else text("did_you_mean", word=near)
                expected = say("unknown_file_expected", known=", ".join(sorted(known)))
                wrong.append(Finding(name, None, "", say("unknown_file", file=name), expected, hint))
        return wrong

    def _overrides_by_file(self, wrong: list[Finding]) -> dict[str, dict[str, object]]:
        """Return the overrides by the file that holds the key; unknown keys go to `wrong`."""
        files = {key.name: key.file for key in keys()}
        sorted_out: dict[str, dict[str, object]] = {}
        for name, value in self._overrides.items():
            file = files.get(name)
            if file is None:
                near = nearest(name, files)
                hint = say("key_list_hint") if near is None else text("did_you_mean", word=near)
                found = say("unknown_key", key=name)
                expected = say("unknown_key_expected", known=", ".join(files))
                wrong.append(Finding(say("override_where"), None, name, found, expected, hint))
            else:
                sorted_out.setdefault(file, {})[name] = value
        return sorted_out

    def _read(
        self,
        spec: FileSpec,
        overrides: Mapping[str, object],
        environment: Mapping[str, Setting],
        sources: dict[str, str],
    ) -> Section:
        path = self._dir / spec.name
        if not path.exists() and spec.is_reference:
            path = shipped_dir() / spec.name
        document = _parse(path, spec.name) if path.exists() else Document({})
        if spec.is_reference:
            return _validated(spec, document)
        names = [name for name, _ in leaves(spec.model)]
        set_outside = {name: environment[name] for name in names if name in environment}
        for name in names:
            if name in overrides:
                sources[name] = "override"
            elif name in set_outside:
                sources[name] = set_outside[name].variable
            elif _holds(document.value, name):
                sources[name] = spec.name
        if set_outside:
            document = _with_environment(spec, document, set_outside)
        model = _validated(spec, _with_overrides(document, overrides) if overrides else document)
        if without_effect := list(_not_built(spec, model, document)):
            raise InvalidConfig(without_effect)
        return model


def _parse(path: Path, name: str) -> Document:
    content = read_text(path, name)
    if name != LOCAL_FILE:
        return read_yaml(content, name)
    return nested(read_json(content, name))


def _validated(spec: FileSpec, document: Document) -> Section:
    try:
        return spec.model.model_validate(document.value)
    except ValidationError as error:
        raise InvalidConfig(findings(error, spec.model, spec.name, document)) from None


def _with_environment(spec: FileSpec, document: Document, environment: Mapping[str, Setting]) -> Document:
    """Return the document with what the environment sets; a limit that the file sets may only become stricter."""
    limits = [name for name in environment if class_of(name).reload == "TIGHTEN_NOW" and _holds(document.value, name)]
    before = _validated(spec, document) if limits else None
    merged = _with_overrides(document, {name: setting.value for name, setting in environment.items()})
    try:
        after = _validated(spec, merged)
    except InvalidConfig as invalid:
        raise InvalidConfig(
            [
                one._replace(file=environment[one.key].variable, line=None) if one.key in environment else one
                for one in invalid.findings
            ]
        ) from None
    looser = []
    for name in limits:
        old, new = value_at(before, name), value_at(after, name)
        if old != new and not is_stricter(name, old, new):
            found = say("looser", variable=environment[name].variable, key=name, old=old, new=new)
            expected = say("looser_expected", file=spec.name)
            looser.append(Finding(spec.name, document.line(name), name, found, expected, say("looser_hint")))
    if looser:
        raise InvalidConfig(looser)
    return merged


def _not_built(spec: FileSpec, model: Section, document: Document) -> Iterator[Finding]:
    """Yield every key that is set although nothing would act on it."""
    defaults: Section | None = None
    for name, _ in leaves(spec.model):
        if class_of(name).is_built:
            continue
        defaults = defaults or spec.model.model_validate({})
        value, default = value_at(model, name), value_at(defaults, name)
        if value != default:
            found, expected = say("not_built", key=name, value=value), say("not_built_expected", value=default)
            yield Finding(spec.name, document.line(name), name, found, expected, say("not_built_hint"))


def value_at(model: object, dotted: str) -> object:
    """Return the value of a dotted key below a model."""
    for part in dotted.split("."):
        model = getattr(model, part)
    return model


def _with_overrides(document: Document, overrides: Mapping[str, object]) -> Document:
    tree = document.value if isinstance(document.value, dict) else {}
    for name, value in overrides.items():
        plant(tree, name, value)
    return Document(tree, document.lines)


def _holds(tree: object, dotted: str) -> bool:
    here = tree
    for part in dotted.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def _assemble(models: Mapping[str, Any], sources: Mapping[str, str]) -> QtsConfig:
    settings = {spec.name: models[spec.name] for spec in SETTINGS}
    reference: dict[str, object] = {}
    for spec in FILES:
        if spec.is_reference:
            reference |= {name: getattr(models[spec.name], name) for name in spec.model.model_fields}
    return QtsConfig.model_validate(
        {
            "local": settings[LOCAL_FILE],
            "event": settings["event.yaml"].event,
            "safety": settings["safety.yaml"],
            "pipeline": settings["pipeline.yaml"],
            "operating_state": settings["state.yaml"].operating_state,
            "capital": settings["capital.yaml"].capital,
            "data": settings["data.yaml"].data,
            "cache": settings["cache.yaml"].cache,
            "exec": settings["execution.yaml"].exec,
            "strategies": {
                name: getattr(settings[f"strategies/{name}.yaml"], name) for name in ("scalp", "swing", "portfolio")
            },
            "reference": reference,
            "sources": dict(sources),
        }
    )
