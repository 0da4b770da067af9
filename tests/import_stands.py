"""Stand-ins for the web: Flowers-102's site and Google Drive as servers on this machine."""

import hashlib
import html
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass
class Stand:
    """A server's files, and how it behaves.

    files: contents by path. names: a file's name by path, told in Content-Disposition.
    codes: answers other than 200 by path. no_ranges: sends whole files whatever is asked for.
    break_after: bytes after which an answer ends too early, once. slow_s: pause after each 64 kB.
    asked: the Range header of every request, by path.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    no_ranges: bool = False
    break_after: int | None = None
    slow_s: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(stand: Stand) -> Iterator[Stand]:
    """The server, running on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            ids = parse_qs(parts.query).get("id", [])
            path = f"{parts.path}?{ids[0]}" if ids else parts.path
            stand.asked.append((path, self.headers.get("Range", "")))
            content = stand.files.get(path)
            code = stand.codes.get(path, 200 if content is not None else 404)
            start = 0
            if code == 200 and self.headers.get("Range") and not stand.no_ranges:
                start, code = int(self.headers["Range"][6:-1]), 206
                if start >= len(content):
                    code = 416
            self.send_response(code)
            body = (content or b"")[start:] if code in (200, 206) else b"no"
            if code == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if path in stand.names:
                self.send_header("Content-Disposition", f'attachment; filename="{stand.names[path]}"')
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if stand.break_after is not None and len(body) > stand.break_after:
                body, stand.break_after = body[: stand.break_after], None
            try:
                for at in range(0, len(body), 2**16):
                    self.wfile.write(body[at : at + 2**16])
                    time.sleep(stand.slow_s)
            except OSError:  # whoever asked has left
                pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stand
    finally:
        server.shutdown()
        server.server_close()


def flowers102_files(root: Path) -> tuple[dict[str, bytes], dict[str, tuple[int, str]]]:
    """A Flowers-102 folder as its site has it, by path, and the sizes and checksums of its three files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(root / "jpg", "jpg")
    contents = {"102flowers.tgz": buffer.getvalue()}
    contents |= {name: (root / name).read_bytes() for name in ("imagelabels.mat", "setid.mat")}
    known = {
        name: (len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())
        for name, content in contents.items()
    }
    return {f"/{name}": content for name, content in contents.items()}, known


def drive_folder(title: str, files: dict[str, str], folders: dict[str, str]) -> bytes:
    """The page by which Google Drive lists a public folder: names by id."""
    links = [f'<a href="https://drive.google.com/file/d/{i}/view">{html.escape(n)}</a>' for i, n in files.items()]
    links += [f'<a href="https://drive.google.com/drive/folders/{i}">{html.escape(n)}</a>' for i, n in folders.items()]
    return f"<html><head><title>{html.escape(title)}</title></head><body>{''.join(links)}</body></html>".encode()


def redirect_drive(monkeypatch, url: str) -> None:
    """Sends whatever gdown asks of Google Drive to another server."""
    import requests

    get = requests.Session.get

    def elsewhere(self: requests.Session, address: str, **options: object) -> requests.Response:
        assert address.startswith("https://drive.google.com/"), f"{address} is none of its business"
        return get(self, address.replace("https://drive.google.com/", url), **options)

    monkeypatch.setattr(requests.Session, "get", elsewhere)
