"""What this service is and how to check that a letter is real. It shows nothing about anybody and asks for nothing."""

from flask import Blueprint, Response, render_template

blueprint = Blueprint("public", __name__)


@blueprint.get("/")
def index() -> str:
    """The page that a letter's reader may find: English and Spanish, no scripts, nothing from elsewhere."""
    return render_template("public/index.html")


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Nothing here is for search engines."""
    return Response("User-agent: *\nDisallow: /\n", content_type="text/plain; charset=utf-8")
