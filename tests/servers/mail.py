"""A mail server and a web server for tests: real protocols, on free ports; everything that came is kept."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.requirements import requires_program

LOGIN = ("école", "clé à nous")


@dataclass
class MailServer:
    """`certificate` is what a client must trust."""

    port: int = 0
    certificate: Path | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """aiosmtpd calls it for every mail."""
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    openssl = requires_program("openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [str(openssl), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextmanager
def mail_server(folder: Path, *, encrypts: bool = True) -> Iterator[MailServer]:
    """One that offers STARTTLS, and takes a login only after it."""
    handler = MailServer()
    options: dict[str, Any] = {}
    if encrypts:
        certificate, key = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        handler.certificate = certificate

        def check(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
            given = (data.login.decode("utf-8"), data.password.decode("utf-8"))
            return AuthResult(success=given == LOGIN, handled=False)

        options = {"tls_context": context, "authenticator": check}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        handler.port = free.getsockname()[1]
    controller = Controller(handler, hostname="localhost", port=handler.port, **options)
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()


@dataclass
class WebServer:
    """`asked`: method, path with its query, and body of every request. It answers with `status`."""

    url: str = ""
    status: int = 200
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)


@contextmanager
def web_server() -> Iterator[WebServer]:
    """One that takes everything."""
    found = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.asked.append((self.command, self.path, body))
            self.send_response(found.status)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - its name

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
