"""Which of the two APIs a call speaks: Realtime, or GPT-Live; and its options, checked.

The model's name decides, unless `api=` does: a deployment may be called anything. What belongs to
GPT-Live is imported only for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from rtcvoice.config.call_config import DEFAULT_MODEL, CallConfig
from rtcvoice.config.checks import short
from rtcvoice.errors import ConfigError

__all__ = ["LIVE_PREFIX", "AttachOptions", "LiveOptions", "config_for", "is_live"]

LIVE_PREFIX = "gpt-live"
_NO_VOICE = ("gpt-live-transcribe", "gpt-live-translate")
"""Models of that name that are the Realtime API's."""


class LiveOptions(TypedDict, total=False):
    """The options of `rtcvoice.connect` that only GPT-Live has; see `config/live_config.py`."""

    api: str | None
    """"live" or "realtime", where the model's name does not say it, such as a deployment's."""
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


def is_live(options: Mapping[str, Any]) -> bool:
    """Whether options of a call are for GPT-Live. Raises ConfigError for an unknown `api=`."""
    api = options.get("api")
    if api not in (None, "live", "realtime"):
        raise ConfigError(f"api={short(api)} is neither 'live' nor 'realtime'")
    model = options.get("model")
    named = isinstance(model, str) and model.strip().startswith(LIVE_PREFIX)
    return api == "live" or (api is None and named and not str(model).strip().startswith(_NO_VOICE))


def config_for(options: Mapping[str, Any]) -> CallConfig:
    """Check keyword options and complete them from the environment. Raises ConfigError.

    A call of GPT-Live gets a `LiveConfig`.
    """
    live = is_live(options)
    only_live = LiveOptions.__annotations__.keys()
    given = {n: v for n, v in options.items() if not (n in only_live and v is None)}
    given.pop("api", None)
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
