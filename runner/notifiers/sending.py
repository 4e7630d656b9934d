"""From a notifier's configuration to the service. Every error is a NotSent, which repeats no secret."""

import base64
import http.client
import json
import smtplib
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final, Literal, assert_never

from runner import __version__
from runner.errors import RunnerError
from runner.messages import Message, msg, printable
from runner.model.profile import AppriseNotifier, EmailNotifier, NotifierConfig, PingNotifier, WebhookNotifier
from runner.notifiers.base import SECONDS, Notice, NotSent
from runner.secrets import resolve

Moment = Literal["start", "success", "failure"]
"""What a ping tells of."""

AUTHENTICATED: Final = 235
_WORDS_OF_CRONITOR: Final = {"start": "run", "success": "complete", "failure": "fail"}


def send(notifier: NotifierConfig, notice: Notice) -> None:
    """Tell it. A ping is told by `ping`. Raises NotSent, and ConfigurationInvalid for a secret that is not there."""
    match notifier:
        case EmailNotifier():
            _mail(notifier, notice)
        case WebhookNotifier():
            body = json.dumps({"event": notice.occasion.value, **notice.data})
            _request(notifier, resolve(notifier.url).reveal(), body.encode("ascii"))
        case AppriseNotifier():
            _apprise(notifier, notice)
        case PingNotifier():
            pass
        case _:
            assert_never(notifier)


def ping(notifier: PingNotifier, moment: Moment) -> None:
    """Raises as `send`."""
    url = resolve(notifier.url).reveal().strip()
    with _errors_mapped(notifier):
        words = _in_words_of(notifier, url, moment)
    if words is not None:
        _request(notifier, words, None)


def _in_words_of(notifier: PingNotifier, url: str, moment: Moment) -> str | None:
    """The address that tells it; None where the service has no word for it. Raises ValueError for a wrong address."""
    match notifier.style:
        case "healthchecks":
            parts = urllib.parse.urlsplit(url)
            ending = {"start": "/start", "success": "", "failure": "/fail"}[moment]
            return urllib.parse.urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending))
        case "uptime-kuma":
            if moment == "start":
                return None
            return _with_query(url, {"status": "up" if moment == "success" else "down", "msg": moment})
        case "cronitor":
            return _with_query(url, {"state": _WORDS_OF_CRONITOR[moment]})
        case _:
            assert_never(notifier.style)


def _with_query(url: str, words: dict[str, str]) -> str:
    parts = urllib.parse.urlsplit(url)
    query = {**dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)), **words}
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))


def _mail(notifier: EmailNotifier, notice: Notice) -> None:
    password = None if notifier.password is None else resolve(notifier.password)
    with _errors_mapped(notifier):
        mail = _written(notifier, notice)
        context = ssl.create_default_context()
        if notifier.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(notifier.host, notifier.port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(notifier.host, notifier.port, timeout=SECONDS)
        with server:
            if notifier.security == "starttls":
                server.starttls(context=context)
            if notifier.user is not None:
                _log_in(server, notifier.user, "" if password is None else password.reveal())
            refused = server.send_message(mail)
    if refused:
        raise _not_sent(
            notifier, msg("the server refused {count} of {all} addresses", count=len(refused), all=len(notifier.to))
        )


def _written(notifier: EmailNotifier, notice: Notice) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = notifier.sender
    mail["To"] = ", ".join(notifier.to)
    mail["Subject"] = printable(notice.subject)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=notifier.sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(printable(notice.body))
    return mail


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    """As smtplib does, and in UTF-8 (RFC 4616) where it cannot: it knows ASCII alone. Raises SMTPException."""
    server.ehlo_or_helo_if_needed()
    if (user + password).isascii():
        server.login(user, password)
        return
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError
    words = base64.b64encode(f"\0{user}\0{password}".encode()).decode("ascii")
    code, answer = server.docmd("AUTH", f"PLAIN {words}")
    if code != AUTHENTICATED:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _request(notifier: NotifierConfig, url: str, body: bytes | None) -> None:
    """GET, or POST of JSON. Only http and https: an address is configuration, but a file is none."""
    if not url.lower().startswith(("https://", "http://")):
        raise _not_sent(notifier, msg("its address is none of http or https"))
    headers = {"User-Agent": f"runner/{__version__}", **({} if body is None else {"Content-Type": "application/json"})}
    with _errors_mapped(notifier):
        request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - see above
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - see above
            answer.read(1)


def _apprise(notifier: AppriseNotifier, notice: Notice) -> None:
    try:
        import apprise
    except ImportError:
        hint = msg("install it: `pip install 'runner-backup[apprise]'`")
        raise NotSent(msg("Apprise is not installed"), where=str(notifier), hint=hint) from None
    service = apprise.Apprise()
    url = resolve(notifier.url).reveal().strip()
    with _errors_mapped(notifier):
        if not service.add(url):
            raise _not_sent(notifier, msg("its address is none that Apprise knows"))
        if not service.notify(title=printable(notice.subject), body=printable(notice.body)):
            raise _not_sent(notifier, msg("the service did not take it"))


@contextmanager
def _errors_mapped(notifier: NotifierConfig) -> Iterator[None]:
    """Only kinds and numbers are told on: an error's own text may repeat an address or a password."""
    try:
        yield
    except RunnerError:
        raise
    except urllib.error.HTTPError as error:
        raise _not_sent(notifier, msg("the service answered {code}", code=error.code)) from None
    except smtplib.SMTPAuthenticationError as error:
        raise _not_sent(notifier, msg("the server refused the login ({code})", code=error.smtp_code)) from None
    except smtplib.SMTPNotSupportedError:
        raise _not_sent(notifier, msg("the server offers no STARTTLS or no login; see `security`")) from None
    except smtplib.SMTPResponseException as error:
        raise _not_sent(notifier, msg("the server answered {code}", code=error.smtp_code)) from None
    except smtplib.SMTPRecipientsRefused:
        raise _not_sent(notifier, msg("the server refused every address")) from None
    except (OSError, smtplib.SMTPException, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
        raise _not_sent(notifier, reason) from None


def _not_sent(notifier: NotifierConfig, reason: Message | str) -> NotSent:
    message = msg("the message was not sent: {reason}", reason=reason)
    hint = msg("check the address, and that the service runs; `runner notify test PROFILE` tries it")
    return NotSent(message, where=str(notifier), hint=hint)
