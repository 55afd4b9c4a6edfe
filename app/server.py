"""The server: where it listens, how it looks, and the one route by which pictures leave the workspace."""

import re

import gradio as gr
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.live import STATIC
from app.page import build
from app.theme import theme
from rlr_core.errors import RLRError
from rlr_core.studio import Studio

PICTURE_NAME = re.compile(r"[0-9a-f]{64}")
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
MAX_UPLOAD = "32mb"


def picture_route(studio: Studio) -> Route:
    """/picture/<hash>.png: a stored picture by its content hash, and nothing else."""

    def picture(request: Request) -> Response:
        image_id = request.path_params["name"].removesuffix(".png")
        if not is_signed_in(request):
            return PlainTextResponse("Sign in first.", status_code=401)
        if not PICTURE_NAME.fullmatch(image_id):
            return PlainTextResponse("A picture is asked for by the 64 hexadecimal digits of its hash.", status_code=404)
        try:
            return FileResponse(studio.picture(image_id), media_type="image/png", headers=FOR_EVER)
        except RLRError as problem:
            return PlainTextResponse(str(problem), status_code=404)

    return Route("/picture/{name}", picture)


def is_signed_in(request: Request) -> bool:
    """Whether Gradio's own pages would be shown to this browser."""
    app = request.app
    cookies = (request.cookies.get(f"access-token-{kind}{app.cookie_id}") for kind in ("", "unsecure-"))
    return app.auth is None or any(token in app.tokens for token in cookies if token)


def serve(studio: Studio, host: str, port: int, auth: tuple[str, str] | None) -> gr.Blocks:
    """Start to listen, without waiting; raises RLRError where the port is taken."""
    page = build(studio)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            auth=auth,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            app_kwargs={"routes": [picture_route(studio)]},
            theme=theme(),
            css_paths=[STATIC / "studio.css"],
            head=f"<script>{(STATIC / 'navigate.js').read_text(encoding='utf-8')}</script>",
            favicon_path=STATIC / "icon.svg",
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            max_file_size=MAX_UPLOAD,
            show_error=True,
        )
    except OSError as problem:
        raise RLRError(f"Port {port} of {host} is taken by another program: end that one, or choose another port with --port.") from problem
    return page


def address(host: str, port: int) -> str:
    """What to type into a browser."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
