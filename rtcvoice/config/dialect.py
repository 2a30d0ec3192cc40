"""Which API a call speaks: Realtime, GPT-Live, or that of translations; and its options, checked.

The model's name decides, unless `api=` does: a deployment may be called anything. What belongs to
one of the others is imported only for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from rtcvoice.config.call_config import DEFAULT_MODEL, CallConfig
from rtcvoice.config.checks import short
from rtcvoice.errors import ConfigError

__all__ = [
    "LIVE_PREFIX",
    "TRANSLATION_PREFIX",
    "AttachOptions",
    "LiveOptions",
    "config_for",
    "is_live",
    "is_translation",
    "refuse_others",
]

LIVE_PREFIX = "gpt-live"
_NO_VOICE = ("gpt-live-transcribe", "gpt-live-translate")
"""Models of that name that are the Realtime API's."""

TRANSLATION_PREFIX = "gpt-realtime-translate"

APIS = ("live", "realtime", "translations")


class LiveOptions(TypedDict, total=False):
    """The options of `rtcvoice.connect` that only GPT-Live has; see `config/live_config.py`."""

    api: str | None
    """"live", "realtime" or "translations", where the model's name does not say it, such as a
    deployment's."""
    backend: str | Mapping[str, object] | None
    """The text model that the voice hands work to: its name, or `delegation.responses`."""
    on_delegation: Callable[..., object] | None
    """Your function that does the work instead; see `rtcvoice.DelegatedWork`."""
    delegation: Mapping[str, object] | str | None
    """`session.delegation` of the API as it is, in place of the two above."""
    store: bool | None
    """Whether the session is recorded by the service, and may be forked; False."""
    standby: float | None
    """Whole seconds of silence after which the model pauses, at a lower price, until somebody
    speaks; None: never."""
    acknowledge_after: float | None
    """Seconds of work after which the voice is asked to say that it takes a moment."""
    triggers: Sequence[Mapping[str, object]] | None
    """Questions that a classifier answers with each piece of transcript, as the API has them."""
    data_channel: Mapping[str, object] | None
    """What this client may send and gets: `session.client.data_channel` of the API."""


class AttachOptions(TypedDict, total=False):
    """Those of them that `rtcvoice.attach` takes."""

    api: str | None
    backend: str | Mapping[str, object]
    on_delegation: Callable[..., object]
    acknowledge_after: float
    triggers: Sequence[Mapping[str, object]]


def refuse_others(given: Iterable[str], known: type, doing: str) -> None:
    """Raise ConfigError for an option that is not named in `known`, a TypedDict.

    For calls whose audio goes past this program: what is about it would do nothing.
    """
    for name in given:
        if name not in known.__annotations__:
            raise ConfigError(
                f"{name}= is no option of {doing}",
                hint="its audio goes past this program, and so does all that is about audio",
            )


def is_live(options: Mapping[str, Any]) -> bool:
    """Whether options of a call are for GPT-Live. Raises ConfigError for an unknown `api=`."""
    api = _api_in(options)
    model = options.get("model")
    named = isinstance(model, str) and model.strip().startswith(LIVE_PREFIX)
    return api == "live" or (api is None and named and not str(model).strip().startswith(_NO_VOICE))


def is_translation(options: Mapping[str, Any]) -> bool:
    """Whether options of a call are for a translation; a target language alone says so.

    Raises ConfigError for an unknown `api=`.
    """
    api, model = _api_in(options), options.get("model")
    if api is not None:
        return api == "translations"
    if isinstance(model, str) and model.strip().startswith(TRANSLATION_PREFIX):
        return True
    return options.get("to") is not None and model in (None, DEFAULT_MODEL)


def _api_in(options: Mapping[str, Any]) -> str | None:
    api = options.get("api")
    if api is not None and api not in APIS:
        raise ConfigError(f"api={short(api)} is none of {', '.join(map(repr, APIS))}")
    return api


def config_for(options: Mapping[str, Any]) -> CallConfig:
    """Check keyword options and complete them from the environment. Raises ConfigError.

    A call of GPT-Live gets a `LiveConfig`, a translation a `TranslationConfig`.
    """
    live, translates = is_live(options), is_translation(options)
    only_live = LiveOptions.__annotations__.keys()
    given = {n: v for n, v in options.items() if not (n in only_live and v is None)}
    given.pop("api", None)
    if given.get("to") is None:
        given.pop("to", None)
    if translates:
        return _translation(given, only_live)
    if "to" in given:
        raise ConfigError(
            "to= is an option of translations; this call is none",
            hint="leave model= out, or model='gpt-realtime-translate'; a Realtime model is told by"
            " instructions= to interpret",
        )
    if live:
        from rtcvoice.config.live_config import LiveConfig

        if given.get("model") == DEFAULT_MODEL:  # nobody named one
            del given["model"]
        return LiveConfig.from_options(given)
    for name in given:
        if name in only_live:
            raise ConfigError(
                f"{name}= is an option of GPT-Live; this call speaks the Realtime API",
                hint="model='gpt-live-1.1'; for a deployment of it, api='live'",
            )
    return CallConfig.from_options(given)


def _translation(given: dict[str, Any], only_live: Iterable[str]) -> CallConfig:
    from rtcvoice.config.translation_config import TranslationConfig

    if name := next((name for name in given if name in only_live), ""):
        raise ConfigError(
            f"{name}= is an option of GPT-Live; this call is a translation",
            hint="leave it out; a translation has to=, transcription= and noise_reduction=",
        )
    if given.get("model") == DEFAULT_MODEL:  # nobody named one
        del given["model"]
    return TranslationConfig.from_options(given)
