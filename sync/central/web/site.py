"""What every page is given: the store, who asks, in which language, and how an answer is drawn.

Decided here: a page without a session leads to the sign-in page, a form without its token is refused, and templates
escape everything and know every name they use (an unknown one is an error, not an empty space).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import jinja2
from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from sync.central.rows import Role
from sync.central.store import Store
from sync.central.web.auth import Door, Patience, Session, Sessions, same
from sync.central.web.days import Days
from sync.central.web.language import DEFAULT, LANGUAGES, Language, load_languages
from sync.central.web.playback import Keyring
from sync.central.web.wording import FILTERS
from vedette import __version__
from vedette.clock import Clock
from vedette.config import WebSection
from vedette.trust import Trust

LANGUAGE_COOKIE = "vedette_language"
DOOR_COOKIE = "vedette_door"
DECIDERS: frozenset[Role] = frozenset({"admin", "investigator"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Site:
    """Everything the pages share; made once by `make_site`."""

    store: Store
    trust: Trust
    clock: Clock
    sessions: Sessions
    keyring: Keyring
    patience: Patience
    door: Door
    days: Days
    languages: Mapping[str, Language]
    templates: jinja2.Environment
    tls: bool
    version: str

    @property
    def session_cookie(self) -> str:
        """The session cookie's name; the prefix makes browsers insist on Secure, on this host and on the whole path."""
        return "__Host-vedette" if self.tls else "vedette_session"


def uses_tls(host: str) -> bool:
    """Whether pages on this host go over TLS: everywhere but on the loopback."""
    return host not in _LOOPBACK


def make_site(store: Store, web: WebSection, trust: Trust, clock: Clock) -> Site:
    """The shared parts for a store and the `[web]` section."""
    return Site(
        store=store,
        trust=trust,
        clock=clock,
        sessions=Sessions(clock, lasting_s=web.session_minutes * 60),
        keyring=Keyring(clock, idle_s=web.unlock_minutes * 60),
        patience=Patience(clock),
        door=Door(),
        days=Days(store),
        languages=load_languages(),
        templates=_templates(),
        tls=uses_tls(web.host),
        version=__version__,
    )


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sync.central.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


class SignInNeeded(Exception):
    """The page needs a session and the request has none."""


def site_of(request: Request) -> Site:
    """The site this request came to."""
    site: Site = request.app.state.site
    return site


def language_of(request: Request) -> Language:
    """The language this browser chose, else French."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, DEFAULT)
    return site_of(request).languages[chosen if chosen in LANGUAGES else DEFAULT]


def session_of(request: Request) -> Session | None:
    """The request's session, or None."""
    site = site_of(request)
    by_person = not request.url.path.startswith("/live/")
    return site.sessions.find(request.cookies.get(site.session_cookie), by_person=by_person)


def signed_in(request: Request) -> Session:
    """The request's session; `SignInNeeded` without one."""
    session = session_of(request)
    if session is None:
        raise SignInNeeded
    return session


async def checked_form(request: Request, session: Annotated[Session, Depends(signed_in)]) -> FormData:
    """The fields of a form that carries this session's token; 403 otherwise."""
    form = await read_form(request)
    if not same(field(form, "form_token"), session.form_token):
        raise HTTPException(403, "form")
    return form


async def read_form(request: Request) -> FormData:
    """The fields of a form; 400 when it is malformed. Shield has limited its size, so that no part of it reaches a
    disk.
    """
    return await request.form(max_files=1, max_fields=20)


def field(form: FormData, name: str) -> str:
    """A text field, empty when it is missing."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


SignedIn = Annotated[Session, Depends(signed_in)]
CheckedForm = Annotated[FormData, Depends(checked_form)]


def draw(
    request: Request, template: str, values: Mapping[str, object] | None = None, *, status: int = 200
) -> HTMLResponse:
    """Render a template with `values` and what every page knows."""
    site, language, session = site_of(request), language_of(request), session_of(request)
    page = {
        "site": site,
        "language": language,
        "say": language.say,
        "count": language.count,
        "known": language.known,
        "session": session,
        "path": request.url.path,
        "back": quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/"),
        "unlocked_s": site.keyring.seconds_left(session.name) if session else 0,
        "may_decide": session is not None and session.user.role in DECIDERS,
        "now_us": site.clock.utc_us(),
        "version": site.version,
    }
    return HTMLResponse(site.templates.get_template(template).render({**page, **(values or {})}), status)


def safe_path(path: str) -> str:
    """`path` when it is a path on this site, else the front page: never a way to another site."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if plain and len(path) <= 400 else "/"
