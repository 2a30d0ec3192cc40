"""`CallServer`: the server behind web pages that talk, with an agent in Python for each caller.

Needs the extra: pip install "rtcvoice[server]".
"""

from __future__ import annotations

import asyncio
import inspect
import os
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.dialect import config_for, is_live, refuse_others
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.conversation.accounts.accounts import check_limits
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra
from rtcvoice.system.hosts import is_loopback_host
from rtcvoice.system.public import public

from .access import Access, Authenticate
from .callers import CallerLimits, Callers
from .calls import Making
from .creating import check_key
from .desk import Desk
from .options import SessionOptions, of_session

if TYPE_CHECKING:
    from aiohttp import web

    from rtcvoice.call.call import Call
    from rtcvoice.recording.options import Recording

    from .asgi import Asgi
    from .served_call import Agent
    from .web_app import Listening

__all__ = ["CallServer"]

PORTS = range(65536)

_LIMITS = Limits(seconds=1800, idle=120)
_CALLERS = CallerLimits()


@public
class CallServer:
    """Makes calls for web pages, and runs an agent for each: `async with CallServer(agent) as s`.

    The page sends its SDP offer and gets the answer; key, session and tools stay here. Its audio
    goes straight to the service. `agent(call)` runs for every caller, with a call as `attach` gives
    it; when it returns the call goes on, when it raises the call ends, and when the call ends it is
    cancelled. None: the session's instructions and tools are enough.

    Session: instructions, tools and the options of `rtcvoice.connect`, base_url and credentials
        included; it needs an API key. push_to_talk: the page has a key to hold while speaking.
    Bounds: limits: of each call, `Limits(seconds=1800, idle=120)` if not given. callers: a
        `CallerLimits`, of each caller. most_calls: at a time in all.
    Who may: only this machine, unless told otherwise. authenticate(request): plain or async,
        returns the name of the caller, None for nobody; without it a caller is an IP address.
        origins: pages of other sites that may ask. public_hosts: names by which browsers reach this
        server. open_to_all: no authentication though others reach it. behind_proxy: a reverse proxy
        tells the client's address (X-Forwarded-For), and does HTTPS.
    foreign: what becomes of what a page does to the session by its own channel: "undo" or "end" the
        call; of the Realtime API. With GPT-Live `data_channel` says what a page may send: nothing,
        unless given.
    record: a folder or a `Recording` for what was said and done, of callers who agreed to it.
    page: whether there is a page. title: its heading. show_tools: whether pages see what tools are
        given and return.
    Where: host, port (0: any free one), cert and key (PEM files) for HTTPS. Or not at all: `mount`
        into an application of aiohttp, `asgi` in any other.

    Raises ConfigError and CredentialsError for what cannot work, also when it cannot listen.
    """

    def __init__(
        self,
        agent: Agent | None = None,
        *,
        instructions: str | Unset = UNSET,
        tools: ToolSet | Iterable[Callable[..., object] | Mapping[str, object]] | None = None,
        push_to_talk: bool = False,
        limits: Limits = _LIMITS,
        callers: CallerLimits = _CALLERS,
        most_calls: int = 20,
        authenticate: Authenticate | None = None,
        origins: Collection[str] = (),
        public_hosts: Collection[str] = (),
        open_to_all: bool = False,
        behind_proxy: bool = False,
        foreign: str = "undo",
        record: str | PathLike[str] | Recording | None = None,
        page: bool = True,
        title: str = "Talk",
        show_tools: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        cert: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        _check(agent, limits, callers, most_calls, foreign, port)
        refuse_others(options, SessionOptions, "a CallServer")
        given: dict[str, Any] = {**options}
        if not isinstance(instructions, Unset):
            given["instructions"] = instructions
        tool_set = None if tools is None else ToolSet.of(tools)
        config = _config(given, tool_set, push_to_talk=push_to_talk)
        check_key(config)
        check_limits(config.model, limits, given.get("price"))
        self._tls = _tls(host, cert, key, behind_proxy=behind_proxy)
        access = Access(
            host,
            origins=origins,
            public_hosts=public_hosts,
            authenticate=authenticate,
            open_to_all=open_to_all,
            behind_proxy=behind_proxy,
        )
        making = Making(
            config,
            given,
            agent=agent,
            tools=tool_set,
            limits=limits,
            record=_recording(record),
            foreign=foreign,
            show_tools=show_tools,
        )
        told: dict[str, Any] = {
            "title": title,
            "model": config.model,
            "api": "live" if config.is_live else "realtime",
            "record": record is not None,
            "push_to_talk": push_to_talk,
            "voices": [],
        }
        self._desk = Desk(
            access,
            Callers(callers, most_calls=most_calls),
            making,
            options=told,
            with_page=page,
        )
        self._host, self._port = host, port
        self._listening: Listening | None = None

    # -- a server of its own --------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._listening is not None:
            raise ConfigError("this CallServer was used before", hint="make another one")
        _needs_aiohttp()
        from .web_app import Listening

        listening = self._listening = Listening(self._desk, self._host, self._port, self._tls)
        await listening.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up all calls that it made, then stop."""
        closing = asyncio.create_task(self.aclose(), name="rtcvoice call server close")
        await asyncio.shield(closing)

    async def serve(self) -> None:
        """Listen until cancelled."""
        async with self:
            await asyncio.Event().wait()

    @property
    def url(self) -> str:
        """Where the page is, once it listens. Raises ConfigError before."""
        if self._listening is None:
            raise ConfigError("this CallServer does not listen", hint="async with server: ...")
        return self._listening.url

    # -- a part of somebody else's ----------------------------------------------------------------

    def mount(self, app: web.Application, prefix: str = "/") -> None:
        """Answer below `prefix` in an application of aiohttp; its shutdown hangs up all calls."""
        _needs_aiohttp()
        from .web_app import mount

        mount(self._desk, app, prefix)

    @property
    def asgi(self) -> Asgi:
        """An ASGI application: `app.mount("/voice", server.asgi)` in FastAPI and Starlette.

        A mounted application is not told of the shutdown: `await server.aclose()` in your own.
        """
        from .asgi import asgi_app

        return asgi_app(self._desk)

    async def aclose(self) -> None:
        """Make no more calls, and hang up all that it made."""
        await self._desk.aclose()
        if self._listening is not None:
            await self._listening.aclose()

    # -- what goes on -----------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that go on."""
        return tuple(each.call for each in self._desk.calls.values() if each.call is not None)

    def caller_of(self, call: Call) -> str:
        """Return whose call it is: what `authenticate` returned. Raises ConfigError for others."""
        for served in self._desk.calls.values():
            if served.call is call:
                return served.caller
        raise ConfigError("that is no call of this server, or it is over")

    @property
    def answers(self) -> Counter[int]:
        """How many requests for calls were answered, by HTTP status."""
        return self._desk.answers


def _check(
    agent: object, limits: object, callers: object, most_calls: int, foreign: str, port: int
) -> None:
    function = agent if inspect.isroutine(agent) else getattr(agent, "__call__", None)  # noqa: B004
    if agent is not None and not inspect.iscoroutinefunction(function):
        raise ConfigError(
            "the agent of a CallServer is an async function",
            hint="async def agent(call: rtcvoice.Call) -> None: ...",
        )
    if not isinstance(limits, Limits):
        raise ConfigError(
            f"limits= is a {type(limits).__name__}", hint="rtcvoice.Limits(seconds=1800, idle=120)"
        )
    if not isinstance(callers, CallerLimits):
        raise ConfigError(
            f"callers= is a {type(callers).__name__}", hint="rtcvoice.CallerLimits(at_once=1)"
        )
    if not isinstance(most_calls, int) or isinstance(most_calls, bool) or most_calls < 1:
        raise ConfigError(f"most_calls={most_calls!r} is not a whole number from 1")
    if foreign not in ("undo", "end"):
        raise ConfigError(f"foreign={foreign!r} is neither 'undo' nor 'end'")
    if not isinstance(port, int) or isinstance(port, bool) or port not in PORTS:
        raise ConfigError(f"port={port!r} is not a port", hint="0 (any free one) to 65535")


def _config(given: dict[str, Any], tools: ToolSet | None, *, push_to_talk: bool) -> CallConfig:
    session = of_session(given)
    if tools is not None:
        session["tools"] = tools.definitions
    session = _with_channel(session)
    if push_to_talk and not is_live(session):
        given["turn_detection"] = session["turn_detection"] = None
    return config_for(session)


def _with_channel(session: dict[str, Any]) -> dict[str, Any]:
    if not is_live(session) or "data_channel" in session:
        return session
    from rtcvoice.config.live_config import DEVICE_CHANNEL

    return session | {"data_channel": DEVICE_CHANNEL}


def _needs_aiohttp() -> None:
    if find_spec("aiohttp") is None:
        raise ConfigError(
            "a CallServer needs the package aiohttp, but for asgi",
            hint=install_extra("server"),
        )


def _recording(
    record: str | PathLike[str] | Recording | None,
) -> str | PathLike[str] | Recording | None:
    if record is not None:
        from rtcvoice.recording.options import recording_of

        recording_of(record)
    return record


def _tls(
    host: str,
    cert: str | PathLike[str] | None,
    key: str | PathLike[str] | None,
    *,
    behind_proxy: bool,
) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise ConfigError("key= is given without cert=", hint="give both, as PEM files")
        if not (is_loopback_host(host) or behind_proxy):
            raise ConfigError(
                f"without HTTPS no browser gives a page on {host or 'all addresses'} a microphone:"
                " only pages of this machine, and those by HTTPS, get one",
                hint="give cert= and key= (--cert, --key), PEM files as mkcert makes them; or"
                " behind_proxy=True (--behind-proxy) where a reverse proxy does HTTPS",
            )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(Path(os.fspath(cert)), None if key is None else os.fspath(key))
    except (OSError, ssl.SSLError, ValueError) as exc:
        cause = getattr(exc, "strerror", None) or exc
        raise ConfigError(
            f"the certificate {os.fspath(cert)} cannot be used: {cause}",
            hint="cert= and key= are PEM files that belong together, without a password",
        ) from exc
    return context
