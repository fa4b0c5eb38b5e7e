"""The checks that every request passes before its view runs, and the headers of every response.

1. The Host header: without a token only loopback names are answered, so that a foreign page
   can't reach the server by rebinding a name of its own to 127.0.0.1.
2. Who asks: with a token set, a bearer token or the login cookie.
3. Where an unsafe request comes from: browsers say so in Sec-Fetch-Site or Origin, and pages of
   other sites are refused. Requests with a bearer token are exempt: no browser adds it unasked.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized
from werkzeug.wrappers import Response as WerkzeugResponse

from faces_jobs.settings import is_loopback
from faces_jobs_web.access import LOGIN_SECONDS, new_form_seed
from faces_jobs_web.errors import wants_problem
from faces_jobs_web.operations import is_public
from faces_jobs_web.services import current_services

LOGIN_COOKIE = "faces_jobs_login"
FORM_COOKIE = "faces_jobs_form"
FORM_FIELD = "form_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CONTENT_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)


class WrongHost(HTTPException):
    """The request is for a name that this server does not answer to."""

    code = 421
    description = (
        "Without an access token the server answers to 127.0.0.1 and localhost alone. "
        "Use one of these, or set FACES_JOBS_ACCESS_TOKEN."
    )


def install_guard(app: Flask) -> None:
    """Put the checks before and the headers after every view of the app."""
    app.before_request(_check_host)
    app.before_request(_check_identity)
    app.before_request(_check_origin)
    app.after_request(_add_headers)


def form_token() -> str:
    """The token for the forms of the page that is being made; sets the form cookie at the end."""
    seed: str | None = g.get("form_seed") or request.cookies.get(FORM_COOKIE)
    if not seed:
        seed = new_form_seed()
    g.form_seed = seed
    return current_services().access.form_token(seed)


def check_form_token(shown: str | None) -> None:
    """Refuse a form that was not made by a page of ours for this browser.

    Raises:
        Forbidden: the token is missing or belongs to another browser.
    """
    seed = request.cookies.get(FORM_COOKIE)
    if not current_services().access.is_form_token(shown or "", seed):
        raise Forbidden("This form is out of date. Reload the page and send it again.")


def set_login(response: WerkzeugResponse, value: str) -> None:
    """Give the browser its login cookie, or take it away with an empty value."""
    response.set_cookie(
        LOGIN_COOKIE,
        value,
        max_age=LOGIN_SECONDS if value else 0,
        secure=_is_https(),
        httponly=True,
        samesite="Strict",
    )


def is_signed_in() -> bool:
    """True when this request carries a valid login cookie."""
    return current_services().access.is_login(request.cookies.get(LOGIN_COOKIE))


def _check_host() -> None:
    if not current_services().access.open:
        return
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        name = None
    if name is None or not is_loopback(name):
        raise WrongHost


def _check_identity() -> WerkzeugResponse | None:
    access = current_services().access
    g.by_bearer = False
    if access.open:
        return None
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer":
        if not access.accepts(authorization.token or ""):
            raise _unauthorized("The bearer token is not the server's access token.")
        g.by_bearer = True
        return None
    if is_signed_in() or _is_public_view():
        return None
    if wants_problem():
        raise _unauthorized("Send the access token: `Authorization: Bearer <token>`.")
    if request.method not in SAFE_METHODS:
        raise _unauthorized("You are signed out: sign in, and send it again.")
    target = request.full_path.rstrip("?")
    return redirect(url_for("login.show", next=None if target == "/" else target), 303)


def _check_origin() -> None:
    if request.method in SAFE_METHODS or g.by_bearer:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise Forbidden("This request comes from another site's page. Send it from ours.")
        return
    # Browsers too old for Sec-Fetch-Site send Origin. Neither: not a browser, no foreign page.
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host", ""):
        raise Forbidden("This request comes from another site's page. Send it from ours.")


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    headers.setdefault("Cache-Control", "private, no-cache")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    seed = g.get("form_seed")
    if seed and request.cookies.get(FORM_COOKIE) != seed:
        response.set_cookie(FORM_COOKIE, seed, secure=_is_https(), httponly=True, samesite="Strict")
    return response


def _is_https() -> bool:
    # A proxy that ends TLS says so here. A client that lies only makes its own cookie stricter.
    return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def _is_public_view() -> bool:
    endpoint = request.endpoint
    if endpoint is None:
        return False
    return endpoint == "static" or is_public(current_app.view_functions[endpoint])


def _unauthorized(description: str) -> Unauthorized:
    return Unauthorized(description, www_authenticate=WWWAuthenticate("bearer"))
