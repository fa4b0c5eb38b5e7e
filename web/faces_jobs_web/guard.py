"""Checks every request before its view runs, and adds security headers to every response.

1. Host: without an access token only loopback names are accepted, so that another site's page
   can't reach the server by DNS rebinding (pointing a name of its own at 127.0.0.1).
2. Authentication: if an access token is set, a bearer token or the login cookie is required.
3. Origin: requests with unsafe methods from other sites' pages are refused (CSRF). Browsers name
   the origin in Sec-Fetch-Site or Origin. Requests with a bearer token are exempt, since browsers
   never add one by themselves.
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
CROSS_SITE = "This request comes from a page of another site. Send it from a page of this server."
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)


class WrongHost(HTTPException):
    """The Host header names a host that this server does not serve."""

    code = 421
    description = (
        "Without an access token the server accepts only loopback host names. Use 127.0.0.1 or "
        "localhost, or set FACES_JOBS_ACCESS_TOKEN."
    )


def install_guard(app: Flask) -> None:
    """Register the checks and the response headers with the app."""
    app.before_request(_check_host)
    app.before_request(_check_authentication)
    app.before_request(_check_origin)
    app.after_request(_add_headers)


def form_token() -> str:
    """Return the token for the forms of the current page; its response sets the form cookie."""
    seed: str | None = g.get("form_seed") or request.cookies.get(FORM_COOKIE)
    if not seed:
        seed = new_form_seed()
    g.form_seed = seed
    return current_services().access.form_token(seed)


def check_form_token(token: str | None) -> None:
    """Check that a form comes from one of our own pages, rendered for this browser.

    Raises:
        Forbidden: the token is missing or belongs to another browser.
    """
    seed = request.cookies.get(FORM_COOKIE)
    if not current_services().access.is_form_token(token or "", seed):
        raise Forbidden("This form is out of date. Reload the page and send it again.")


def set_login(response: WerkzeugResponse, value: str) -> None:
    """Set the login cookie, or delete it if the value is empty."""
    response.set_cookie(
        LOGIN_COOKIE,
        value,
        max_age=LOGIN_SECONDS if value else 0,
        secure=_is_https(),
        httponly=True,
        samesite="Strict",
    )


def is_signed_in() -> bool:
    """Return whether the current request has a valid login cookie."""
    return current_services().access.is_login(request.cookies.get(LOGIN_COOKIE))


def _check_host() -> None:
    if not current_services().access.is_open:
        return
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        name = None
    if name is None or not is_loopback(name):
        raise WrongHost


def _check_authentication() -> WerkzeugResponse | None:
    access = current_services().access
    g.by_bearer = False
    if access.is_open:
        return None
    # Not `request.authorization`, which takes a token with an equals sign for parameters.
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        if not access.accepts(token.strip()):
            raise _unauthorized("The bearer token is not this server's access token.")
        g.by_bearer = True
        return None
    if is_signed_in() or _is_public_view():
        return None
    if wants_problem():
        raise _unauthorized("Send the access token: `Authorization: Bearer <token>`.")
    if request.method not in SAFE_METHODS:
        raise _unauthorized("You are signed out: sign in and try again.")
    target = request.full_path.rstrip("?")
    return redirect(url_for("login.show", next=None if target == "/" else target), 303)


def _check_origin() -> None:
    if request.method in SAFE_METHODS or g.by_bearer:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise Forbidden(CROSS_SITE)
        return
    # Older browsers send Origin only. A request with neither header is not from a browser.
    origin = request.headers.get("Origin")
    if origin is not None and _netloc(origin) != request.headers.get("Host", ""):
        raise Forbidden(CROSS_SITE)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as a "[" that nothing closes
        return None


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
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
    # A proxy that terminates TLS sets this header. A client that forges it only makes its own
    # cookie stricter.
    return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def _is_public_view() -> bool:
    endpoint = request.endpoint
    if endpoint is None:
        return False
    return endpoint == "static" or is_public(current_app.view_functions[endpoint])


def _unauthorized(description: str) -> Unauthorized:
    return Unauthorized(description, www_authenticate=WWWAuthenticate("bearer"))
