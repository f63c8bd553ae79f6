"""`/docs`: the reference of this API as one page, made from its own OpenAPI description."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader

router = APIRouter(include_in_schema=False)

_pages = Environment(loader=PackageLoader("alerting.api"), autoescape=True)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every call with what it takes and answers. Loads nothing from anywhere."""
    page = _pages.get_template("reference.html")
    openapi: dict[str, Any] = request.app.openapi()
    return Response(page.render(api=openapi), media_type="text/html; charset=utf-8")


@router.get("/docs.css")
async def style() -> Response:
    return Response(_pages.get_template("reference.css").render(), media_type="text/css")
