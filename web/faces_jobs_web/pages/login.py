"""/login and /logout: exchange the access token for a cookie, for browsers."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs_web.guard import FORM_FIELD, LOGIN_COOKIE, check_form_token, is_signed_in, set_login
from faces_jobs_web.operations import FORM, HTML, Operation, ResponseSpec, describes, page
from faces_jobs_web.services import current_services

blueprint = Blueprint("login", __name__)

_BODY = {"type": "object", "properties": {"token": {"type": "string"}}}


@blueprint.get("/login")
@describes(Operation(tag="pages", responses=page("The sign-in form."), public=True))
def show() -> AnyResponse:
    """Show the sign-in form."""
    target = safe_target(request.args.get("next"))
    if _is_cross_site_without_cookie():
        return make_response(render_template("arrived.html", target=target))
    if current_services().access.is_open or is_signed_in():
        return redirect(target, 303)
    return make_response(render_template("login.html", target=target, wrong=False))


@blueprint.post("/login")
@describes(
    Operation(
        tag="pages",
        bodies={FORM: _BODY},
        responses={
            303: ResponseSpec("Signed in."),
            403: ResponseSpec(
                "The access token is wrong, or the form is out of date.", media_types=(HTML,)
            ),
        },
        public=True,
    )
)
def sign_in() -> AnyResponse:
    """Sign in with the access token."""
    check_form_token(request.form.get(FORM_FIELD))
    target = safe_target(request.form.get("next"))
    access = current_services().access
    if not access.accepts(request.form.get("token", "").strip()):
        return Response(render_template("login.html", target=target, wrong=True), 403)
    response = redirect(target, 303)
    set_login(response, access.login())
    return response


@blueprint.post("/logout")
@describes(
    Operation(
        tag="pages",
        bodies={FORM: {"type": "object"}},
        responses={303: ResponseSpec("Signed out.")},
    )
)
def sign_out() -> AnyResponse:
    """Sign out."""
    check_form_token(request.form.get(FORM_FIELD))
    response = redirect(url_for("login.show"), 303)
    set_login(response, "")
    return response


def _is_cross_site_without_cookie() -> bool:
    # For a link on another site browsers don't send the SameSite=Strict login cookie, even if the
    # user is signed in. They do send it when a page of ours then redirects to the target.
    cookie = request.cookies.get(LOGIN_COOKIE)
    return cookie is None and request.headers.get("Sec-Fetch-Site") == "cross-site"


def safe_target(target: str | None) -> str:
    """Return the target if it is a path of this server, else "/" (prevents open redirects)."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    # Browsers strip tabs and line breaks from URLs before they parse them.
    return target if target.isprintable() and "\\" not in target else "/"
