"""Those who use a server: a key in a real ssh-agent, and servers that are not what they seem."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def agent(*keys: Path) -> Iterator[dict[str, str]]:
    """A running ssh-agent that holds these private keys; gives the environment that leads to it."""
    folder = tempfile.mkdtemp(prefix="agent-")  # a socket's path must be short
    env = {"SSH_AUTH_SOCK": os.path.join(folder, "socket")}
    process = subprocess.Popen(["ssh-agent", "-D", "-a", env["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(env["SSH_AUTH_SOCK"]):
            assert process.poll() is None
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, **env}, check=True)
        yield env
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


class Asked:
    """A request that such a server got."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = dict(handler.headers.items())
        self.body = handler.rfile.read(int(handler.headers.get("content-length") or 0))


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def impostor(
    answer: Callable[[Asked], Answer], *, certificate: Path | None = None, key: Path | None = None
) -> Iterator[tuple[str, list[Asked]]]:
    """A server on loopback that answers as it likes, by TLS with a certificate; gives its origin, and what it heard."""
    heard: list[Asked] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self)
            heard.append(asked)
            status, headers, body = answer(asked)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    origin = f"http://127.0.0.1:{server.server_port}"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        origin = f"https://localhost:{server.server_port}"
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield origin, heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that nobody has signed, and its private key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", *words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


@contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[str]:
    """What does TLS in front of a server on this port of loopback; gives the origin that clients see."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as behind:
                back = threading.Thread(target=_pass_on, args=(behind, self.request))
                back.start()
                _pass_on(self.request, behind)
                back.join()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := one.recv(1 << 16):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


def said(value: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def passed_on(asked: Asked, origin: str) -> Answer:
    """The answer of another server to the same request."""
    headers = {
        name: value for name, value in asked.headers.items() if name.lower() in ("content-type", "authorization")
    }
    request = urllib.request.Request(origin + asked.path, asked.body or None, headers, method=asked.method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, {"Content-Type": "application/json"}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {"Content-Type": "application/json"}, error.read()
