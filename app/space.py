"""The studio on a Hugging Face Space, for many visitors at once.

A visitor is known by a cookie that nobody can guess or make. Pages and handlers are those of the studio on one's own machine; what they
are given is a stand-in that leads to the studio of whoever asks.
"""

import hmac
import os
import secrets
import sys
import tempfile
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, cast

from gradio.context import LocalContext
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gate import Rules
from app.server import app_kwargs, serve, use_for_uploads
from rlr_core.config import from_json
from rlr_core.errors import RLRError
from rlr_core.session.files import write_atomically
from rlr_core.space.limits import SpaceLimits
from rlr_core.space.visitor import VisitorStudio
from rlr_core.space.visitors import FULL, Visitors
from rlr_core.space.zero_gpu import borrow_gpu
from rlr_core.studio import Studio
from rlr_core.workshop import Workshop

COOKIE, A_MONTH = "rlr-visitor", 30 * 86400
VISITORS_VARIABLE = "RLR_STUDIO_VISITORS"
EVERYWHERE, PORT = "0.0.0.0", 7860
# The site that shows Spaces in a frame.
PARENTS = "https://huggingface.co"
STRANGER = "This page does not say whose it is, perhaps because its cookie was refused: allow cookies for this site, and reload the page."
PAGE = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>RLR Studio</title><p style='font:1.1rem system-ui;margin:15vh 10vw'>{}</p>"
)


class Keys:
    """Keys of visitors: random, and signed, so that nobody can make one. The secret is kept in `folder`: a restart changes nothing."""

    def __init__(self, folder: Path) -> None:
        path = folder / "secret"
        if not path.exists():
            write_atomically(path, secrets.token_bytes(32))  # readable by this user alone
        self._secret = path.read_bytes()

    def new(self) -> str:
        """The key of a new visitor."""
        name = secrets.token_hex(16)
        return f"{name}.{self._signature(name)}"

    def of(self, request: Request) -> str | None:
        """The key that a request comes with; None if it has none of ours."""
        key = request.cookies.get(COOKIE, "")
        name, _, signature = key.partition(".")
        return key if hmac.compare_digest(signature.encode(), self._signature(name).encode()) else None

    def _signature(self, name: str) -> str:
        return hmac.new(self._secret, name.encode("utf-8", "surrogateescape"), sha256).hexdigest()


class Reception:
    """ASGI middleware: gives whoever opens the page a key, or says that all places are taken."""

    def __init__(self, app: ASGIApp, visitors: Visitors, keys: Keys) -> None:
        self.app = app
        self._visitors = visitors
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through; only the page itself is where visitors come in."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        key = self._keys.of(request)
        if not self._visitors.has_room_for(key):
            full = FULL.format(visitors=self._visitors.limits.visitors)
            await HTMLResponse(PAGE.format(escape(full)), 503, {"Retry-After": "300"})(scope, receive, send)
            return
        await self.app(scope, receive, send if key else self._introducing(request, send))

    def _introducing(self, request: Request, send: Send) -> Send:
        """`send`, with a new visitor's cookie. In the frame of another site a browser keeps it only if it is secure and partitioned."""
        is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        rules = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
        cookie = f"{COOKIE}={self._keys.new()}; Path=/; Max-Age={A_MONTH}; HttpOnly; {rules}"

        async def introducing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        return introducing


class StudioOfWhoeverAsks:
    """Stands in for a studio: whatever is asked of it is asked of the studio of the visitor whose request is at work.

    While the page is built there is no visitor; then it is asked of the `lobby`, in which nobody ever works.
    """

    def __init__(self, visitors: Visitors, keys: Keys, lobby: Studio) -> None:
        self._visitors = visitors
        self._keys = keys
        self._lobby = lobby

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a studio has
        return getattr(self._studio(), name)

    def of(self, request: Request) -> Studio:
        """The studio of the visitor who sent the request; RLRError if they are not known."""
        key = self._keys.of(request)
        if key is None:
            raise RLRError(STRANGER)
        return self._visitors.studio(key)

    def _studio(self) -> Studio:
        request = LocalContext.request.get(None)
        if request is None:
            return self._lobby
        # Gradio hands events a request of its own kind, around the real one.
        return self.of(cast(Request, getattr(request, "request", None) or request))


def space_rules(keys: Keys, uploads_folder: Path) -> Rules:
    """The gate's rules on a Space: any name, shown in the frame of the hub, and each visitor counted by their key."""
    return Rules(
        hosts=None,
        uploads_folder=uploads_folder,
        is_signed_in=lambda request: keys.of(request) is not None,
        parents=PARENTS,
        stranger=STRANGER,
        client=lambda request: keys.of(request) or "",
    )


def main(folder: Path) -> int:
    """Serve the Space that lies in `folder` until it is ended."""
    root = Path(os.environ.get(VISITORS_VARIABLE) or Path.home() / ".cache" / "rlr-studio-visitors")
    port = int(os.environ.get("GRADIO_SERVER_PORT") or PORT)
    host = os.environ.get("GRADIO_SERVER_NAME") or EVERYWHERE
    limits, example = read_limits(folder / "limits.json"), folder / "example"
    gpu_rounds = borrow_gpu(limits.gpu_seconds)
    # Where a GPU is borrowed, this process must never touch it.
    workshop = Workshop("cpu" if gpu_rounds else None)
    visitors = Visitors(root / "visitors", limits, workshop, example if example.is_dir() else None, gpu_rounds)
    lobby = VisitorStudio(root / "lobby", workshop, limits, visitors.num_rounds)
    keys = Keys(root)
    with tempfile.TemporaryDirectory(prefix="rlr-studio-uploads-", ignore_cleanup_errors=True) as uploads_folder:
        use_for_uploads(Path(uploads_folder))
        studio = StudioOfWhoeverAsks(visitors, keys, lobby)
        guarded = app_kwargs(studio.of, space_rules(keys, Path(uploads_folder)), [Middleware(Reception, visitors=visitors, keys=keys)])
        page = serve(cast(Studio, studio), host, port, guarded, root)
        sys.stdout.write(f"RLR Studio receives up to {limits.visitors} visitors at port {port}.\n")
        sys.stdout.flush()
        (lobby.latest_session() or lobby.create_session()).warm_up()
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)
            visitors.close()
            lobby.close()
            workshop.close()
    return 0


def read_limits(path: Path) -> SpaceLimits:
    """The limits in a file, or the usual ones where there is none."""
    return from_json(SpaceLimits, path.read_text(encoding="utf-8")) if path.exists() else SpaceLimits()
