"""A real mail server (aiosmtpd): TLS with a certificate of its own authority, and login."""

import email
import email.policy
import ssl
import subprocess

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from .postgres import free_port

USER, PASSWORD = "penstock", "s3cret-pässword"


def openssl(folder, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


class MailServer:
    """STARTTLS, or `wrapped` in TLS from the first byte. `answers` are said after the next messages in place of OK. `refused` are addresses that nobody has."""

    def __init__(self, folder, starttls: bool = True, wrapped: bool = False):
        folder.mkdir()
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                "-keyout", "key.pem", "-out", "ca.pem")
        self.ca, self.answers, self.refused, self.got = folder / "ca.pem", [], set(), []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
        server = self

        class Hooks:
            async def handle_RCPT(self, _server, _session, envelope, address, _options):
                if address in server.refused:
                    return "550 nobody has that name"
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, _server, session, envelope):
                answer = server.answers.pop(0) if server.answers else "250 OK"
                server.got.append((answer, wrapped or session.ssl is not None, envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
                return answer

        def authenticate(_server, _session, _envelope, _mechanism, data):
            good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
            return AuthResult(success=good, handled=False)

        class Server(Controller):
            def factory(self):
                return SMTP(self.handler, hostname="localhost", tls_context=context if starttls else None, require_starttls=starttls,
                            auth_required=starttls or wrapped, auth_require_tls=not wrapped, authenticator=authenticate)

        self.port = free_port()
        self._make = lambda: Server(Hooks(), hostname="127.0.0.1", port=self.port, ssl_context=context if wrapped else None)
        self.start()

    def mails(self) -> list[email.message.EmailMessage]:
        """What was taken, read by Python's own parser; one that finds a defect is refused."""
        read = [email.message_from_bytes(content, policy=email.policy.default) for answer, *_, content in self.got if answer.startswith("250")]
        assert not any(one.defects for one in read)
        return read

    def start(self) -> None:
        self._controller = self._make()
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop(no_assert=True)
