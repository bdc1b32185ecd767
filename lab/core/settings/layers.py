"""Settings in layers: defaults, the file, its profile for an environment, single environment variables."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lab.core.errors import ConfigError
from lab.core.settings.document import (
    Location,
    dotted,
    fault_message,
    known_part,
    model_in,
    overlaid,
    read_document,
    refusal,
)

__all__ = ["PROFILE_KEY", "Layered", "Layers", "parse_layers", "schema_with_profiles"]

M = TypeVar("M", bound=BaseModel)

PROFILE_KEY: Final = "profiles"


@dataclass(frozen=True, slots=True)
class Layers:
    """Which layers lie over a file.

    Attributes
    ----------
    profiles : sequence of str
        Names that the key ``profiles`` of the file may have.
    profile : str
        The one that applies; empty for none.
    prefix : str
        Beginning of the names of variables; levels are separated by two underscores.
    environment : mapping of str to str
        The variables.
    refused : mapping of str to str
        Keys that no variable may set, and why.
    """

    profiles: Sequence[str]
    profile: str
    prefix: str
    environment: Mapping[str, str]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layered(Generic[M]):
    """Settings in force, and where they come from.

    Attributes
    ----------
    settings : pydantic.BaseModel
        What is in force.
    origins : mapping of str to str
        Of every key that is not a default: ``file``, ``profiles.NAME``, or the name of the variable.
    others : mapping of str to pydantic.BaseModel
        What would be in force under each other profile of the file, without variables.
    """

    settings: M
    origins: Mapping[str, str]
    others: Mapping[str, M]


@dataclass(frozen=True, slots=True)
class _Reading(Generic[M]):
    model: type[M]
    source: str
    values: Mapping[str, Any]
    partials: Mapping[str, Mapping[str, Any]]
    lines: Mapping[Location, int]

    def parsed(self, profile: str, variables: Mapping[str, tuple[Location, Any]]) -> M:
        values = overlaid(self.values, self.partials.get(profile, {}))
        for location, value in variables.values():
            values = _with(values, location, value)
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            faults = [
                fault_message(
                    fault,
                    self._where(fault["loc"], profile, variables),
                    self.model,
                    # Profiles within a profile are not allowed, nor offered.
                    besides=() if (PROFILE_KEY, profile, *fault["loc"]) in self.lines else (PROFILE_KEY,),
                )
                for fault in error.errors()
            ]
            raise refusal(faults, self.source) from None

    def _where(self, location: Location, profile: str, variables: Mapping[str, tuple[Location, Any]]) -> str:
        for name, (place, _) in variables.items():
            if location[: len(place)] == place:
                return f"{name}: {dotted(location)}"
        inner = known_part((PROFILE_KEY, profile, *location), self.lines)
        outer = known_part(location, self.lines)
        if len(inner) > 2 and len(inner) - 2 >= len(outer):
            return f"{self.source}:{self.lines[inner]}: {dotted((PROFILE_KEY, profile, *location))}"
        return f"{self.source}:{self.lines.get(outer, 1)}: {dotted(location) or 'document'}"


def parse_layers(text: str, model: type[M], *, source: str, layers: Layers) -> Layered[M]:
    """Read YAML `text` into `model`, with the profile and the variables in force over it.

    Mappings of a profile are merged over the file's at any depth. A variable replaces one whole setting; its
    value is read as YAML. Profiles that are not in force are validated all the same.

    Parameters
    ----------
    text : str
        As :func:`lab.core.settings.parse_document` takes it, with an optional key ``profiles``.
    model : type of pydantic.BaseModel
        Normally a :class:`lab.core.settings.Section`.
    source : str
        Name of the file, for the messages.
    layers : Layers

    Raises
    ------
    ConfigError
        With one line per fault, naming file, line and key, or the variable.

    Examples
    --------
    >>> from lab.core.settings import Section
    >>> class Job(Section):
    ...     size: int = 1
    >>> text = "{size: 2, profiles: {prod: {size: 3}}}"
    >>> layers = Layers(("dev", "prod"), "prod", "JOB__", {}, {})
    >>> parse_layers(text, Job, source="job.yaml", layers=layers).origins
    {'size': 'profiles.prod'}
    """
    values, lines = read_document(text, source)
    if not isinstance(values, dict):
        raise ConfigError(
            f"{source}:1: expected lines of the form 'key: value', found a {type(values).__name__}"
        )
    partials = _partials(values.pop(PROFILE_KEY, None), lines, source, layers.profiles)
    reading = _Reading(model, source, values, partials, lines)
    variables = dict(_variables(model, layers))
    others = {name: reading.parsed(name, {}) for name in partials if name != layers.profile}
    settings = reading.parsed(layers.profile, variables)
    origins = {key: "file" for key in _leaves(values)}
    given = _leaves(partials.get(layers.profile, {}))
    origins |= {key: f"{PROFILE_KEY}.{layers.profile}" for key in given}
    for name, (location, _) in variables.items():
        key = dotted(location)
        origins = {known: layer for known, layer in origins.items() if not known.startswith(f"{key}.")}
        origins[key] = name
    return Layered(settings, origins, others)


def schema_with_profiles(model: type[BaseModel], profiles: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a file of `model` that may hold profiles: parts of the same keys."""
    schema = model.model_json_schema()
    part = {key: value for key, value in schema.items() if key in {"type", "additionalProperties"}}
    properties = {
        name: {key: entry for key, entry in value.items() if key != "default"}
        for name, value in schema["properties"].items()
    }
    schema.setdefault("$defs", {})["Profile"] = {**part, "title": "Profile", "properties": properties}
    schema["properties"][PROFILE_KEY] = {
        "type": "object",
        "additionalProperties": False,
        "description": "by MNEMO_ENV: keys of this file that differ in that environment",
        "properties": {name: {"$ref": "#/$defs/Profile"} for name in profiles},
    }
    return schema


def _partials(
    given: Any, lines: Mapping[Location, int], source: str, allowed: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    names = f"expected {', '.join(allowed)}, each with keys of this file"
    first = lines.get((PROFILE_KEY,), 1)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ConfigError(f"{source}:{first}: {PROFILE_KEY}: {names}")
    for name, part in given.items():
        line = lines.get((PROFILE_KEY, str(name)), first)
        if name not in allowed:
            raise ConfigError(f"{source}:{line}: {PROFILE_KEY}.{name}: unknown profile; {names}")
        if not isinstance(part, dict | None):
            raise ConfigError(f"{source}:{line}: {PROFILE_KEY}.{name}: expected keys of this file")
    return {name: part or {} for name, part in given.items()}


def _variables(model: type[BaseModel], layers: Layers) -> Iterator[tuple[str, tuple[Location, Any]]]:
    seen: dict[Location, str] = {}
    for name, text in sorted(layers.environment.items()):
        if not name.upper().startswith(layers.prefix):
            continue
        location = _location(name, model, layers.prefix)
        key = dotted(location)
        if key in layers.refused:
            raise ConfigError(f"{name}: no variable sets {key}: {layers.refused[key]}")
        if location in seen:
            raise ConfigError(f"{name}: {key} is set by {seen[location]} too; keep one")
        seen[location] = name
        yield name, (location, _value(name, text))


def _location(name: str, model: type[BaseModel], prefix: str) -> Location:
    """Return the key that a variable names: one setting, no section."""
    parts = name[len(prefix) :].lower().split("__")
    current: Any = model
    for depth, part in enumerate(parts):
        fields = getattr(current, "model_fields", {})
        if not fields:
            raise ConfigError(f"{name}: {'.'.join(parts[:depth])} is one setting; give all of it as YAML")
        if part not in fields:
            near = difflib.get_close_matches(part, list(fields), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            where = f" in {'.'.join(parts[:depth])}" if depth else ""
            raise ConfigError(
                f"{name}: unknown setting {part!r}{where}; {hint}allowed: {', '.join(sorted(fields))}"
            )
        current = model_in(fields[part].annotation)
    if current is not None:
        allowed = ", ".join(sorted(current.model_fields))
        raise ConfigError(f"{name}: names a section; expected one of its settings after '__': {allowed}")
    return tuple(parts)


def _value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Without the value, which may not have been meant for this.
        raise ConfigError(f"{name}: its value is not readable as plain YAML") from None


def _with(values: Any, location: Location, value: Any) -> Any:
    first, *rest = location
    inner = values.get(first)
    if rest and first in values and not isinstance(inner, Mapping):
        # The fault is the file's, and is told as such.
        return values
    if rest:
        value = _with(inner or {}, tuple(rest), value)
    return {**values, first: value}


def _leaves(value: Mapping[str, Any], before: Location = ()) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, (*before, key))
        else:
            yield dotted((*before, key))
