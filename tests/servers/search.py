"""A loopback server with the search APIs of Tavily, Exa, Brave, Serper and SearXNG, each under a path of its own.

Shapes: docs.tavily.com/api-reference/endpoint/search and tavily.com/.well-known/openapi.json; exa-labs/openapi-spec on
GitHub; api-dashboard.search.brave.com/api-reference/web/search/get and the types of brave/brave-search-mcp-server;
the OpenAPI of Serper in api-evangelist/serper, and what its users quote of its errors; searxng's
docs/dev/search_api.rst and searx/webutils.py. Errors here quote the key, as a careless server might.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Fault = int | Literal["hang", "huge", "html", "gzip", "odd", "silent engines"]
KEY = "tvly-EXAMPLE-0123456789-secret"
FIELDS = {
    "tavily": {"query", "max_results", "search_depth", "include_domains", "exclude_domains", "topic", "time_range"},
    "exa": {"query", "numResults", "contents", "includeDomains", "excludeDomains", "type", "category"},
    "brave": {"q", "count", "offset", "country", "search_lang", "text_decorations", "freshness", "extra_snippets"},
    "serper": {"q", "num", "gl", "hl", "page", "tbs", "autocorrect"},
    "searxng": {"q", "format", "categories", "engines", "language", "pageno", "time_range", "safesearch"},
}


@dataclass(frozen=True)
class Page:
    """A page of the pretended web."""

    title: str = "Ångström units & <b>Bohr</b>"
    url: str = "https://www.example.org/physics?unit=%C3%85&p=1"
    text: str = "The unit is 0.1 nm."
    date: str = "2024-05-01T07:30:00"
    score: float = 0.81


@dataclass(frozen=True)
class Asked:
    """One request: its engine, its fields and its headers in lower case."""

    engine: str
    fields: Json
    headers: dict[str, str]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up in the middle is what some tests are about."""


class SearchServer:
    """Answers from `pages`, or as `faults` says for an engine: a status, or something worse."""

    def __init__(self, *pages: Page) -> None:
        self.pages = pages or (Page(),)
        self.faults: dict[str, Fault] = {}
        self.requests: list[Asked] = []
        self.asked, self.client_gone = threading.Event(), threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> SearchServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def base_url(self, engine: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/{engine}"


def _handler(server: SearchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query, strict_parsing=True)
            self._answer({name: values[0] for name, values in query.items()})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._answer(json.loads(body))

        def _answer(self, fields: Json) -> None:
            engine = self.path.split("/")[1]
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append(Asked(engine, fields, headers))
            server.asked.set()
            fault = server.faults.get(engine)
            if fault == "hang":
                self.connection.recv(1)  # returns when the client closes
                server.client_gone.set()
                self.close_connection = True
                return
            status, kind, body = _reply(server, server.requests[-1], self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if fault == "gzip":
                self.send_header("Content-Encoding", "gzip")
            if status == 302:
                self.send_header("Location", server.base_url("tavily") + "/elsewhere")
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # the client has had enough
                self.close_connection = True

    return Handler


def _reply(server: SearchServer, asked: Asked, path: str) -> tuple[int, str, bytes]:
    engine = asked.engine
    fault = server.faults.get(engine) or _refusal(asked, path)
    if isinstance(fault, int):
        html = engine == "searxng"
        body = b"<h1>Forbidden</h1>" if html else json.dumps(ERRORS[engine](fault, KEY)).encode()
        return fault, "text/html" if html else "application/json", body
    if fault == "html":
        return 200, "text/html", b"<!doctype html><title>Verifying your browser</title>"
    if fault == "huge":
        return 200, "application/json", b'{"results": "' + b"x" * 3_000_000 + b'"}'
    if fault == "odd":
        odd: list[Any] = [None, 7, {"url": 5}, {"link": ["x"]}, {"url": "", "title": "no address"}]
        return 200, "application/json", json.dumps({"results": odd, "organic": odd, "web": [odd]}).encode()
    pages = () if fault == "silent engines" else server.pages
    body = json.dumps(ANSWERS[engine](asked.fields, pages)).encode()
    return 200, "application/json", gzip.compress(body) if fault == "gzip" else body


def _refusal(asked: Asked, path: str) -> int | None:
    """What each service refuses: a wrong path, a wrong or missing key, a field that it does not know."""
    engine, fields, headers = asked.engine, asked.fields, asked.headers
    if urlsplit(path).path != f"/{engine}" + ("/res/v1/web/search" if engine == "brave" else "/search"):
        return 404
    if fields.keys() - FIELDS[engine]:
        return 400
    sent = {
        "tavily": headers.get("authorization") == f"Bearer {KEY}",
        "exa": headers.get("x-api-key") == KEY,
        "brave": headers.get("x-subscription-token") == KEY and len(fields["q"]) <= 400,
        "serper": headers.get("x-api-key") == KEY,
        "searxng": fields.get("format") == "json",
    }
    return None if sent[engine] else {"tavily": 401, "exa": 401, "brave": 422}.get(engine, 403)


def _tavily(fields: Json, pages: tuple[Page, ...]) -> Json:
    results = [
        {"url": page.url, "title": page.title, "content": page.text, "score": page.score, "raw_content": None}
        | ({"published_date": page.date} if page.date else {})
        for page in pages[: fields.get("max_results", 5)]
    ]
    return {
        "query": fields["query"],
        "follow_up_questions": None,
        "answer": None,
        "images": [],
        "results": results,
        "response_time": 1.09,
        "request_id": "123e4567-e89b-12d3-a456-426614174111",
    }


def _exa(fields: Json, pages: tuple[Page, ...]) -> Json:
    results = [
        {
            "id": page.url,
            "title": page.title,
            "url": page.url,
            "publishedDate": page.date + ".000Z" if page.date else None,
            "author": None,
            "highlights": [page.text],
            "highlightScores": [0.46],
            "image": "https://www.example.org/image.png",
        }
        for page in pages[: fields.get("numResults", 10)]
    ]
    cost = {"total": 0.007, "search": {"neural": 0.007}}
    return {"requestId": "b5947044c4b78efa", "resolvedSearchType": "", "results": results, "costDollars": cost}


def _brave(fields: Json, pages: tuple[Page, ...]) -> Json:
    results = [
        {
            "type": "search_result",
            "subtype": "generic",
            "title": page.title.replace("&", "&amp;"),
            "url": page.url,
            "description": page.text.replace("'", "&#x27;"),
            "page_age": page.date,
            "age": "May 1, 2024",
            "language": "en",
            "family_friendly": True,
            "is_source_local": False,
            "is_source_both": False,
            "is_live": False,
        }
        for page in pages[: int(fields.get("count", 20))]
    ]
    web = {"type": "search", "results": results, "family_friendly": True}
    return {"type": "search", "query": {"original": fields["q"], "more_results_available": True}, "web": web}


def _serper(fields: Json, pages: tuple[Page, ...]) -> Json:
    organic = [
        {"title": page.title, "link": page.url, "snippet": page.text, "date": "May 1, 2024", "position": number}
        for number, page in enumerate(pages[: fields.get("num", 10)], 1)
    ]
    return {
        "searchParameters": {"q": fields["q"], "type": "search"},
        "organic": organic,
        "peopleAlsoAsk": [],
        "credits": 1,
    }


def _searxng(fields: Json, pages: tuple[Page, ...]) -> Json:
    results = [
        {
            "url": page.url,
            "title": page.title,
            "content": page.text,
            "publishedDate": page.date or None,
            "engine": "duckduckgo",
            "engines": ["duckduckgo", "brave"],
            "score": page.score,
            "category": "general",
            "positions": [1, 2],
        }
        for page in pages
    ]
    silent = [] if pages else [["google", "CAPTCHA"], ["startpage", "timeout"]]
    return {
        "query": fields["q"],
        "results": results,
        "answers": [],
        "corrections": [],
        "infoboxes": [],
        "suggestions": [],
        "unresponsive_engines": silent,
    }


ANSWERS: dict[str, Callable[[Json, tuple[Page, ...]], Json]] = {
    "tavily": _tavily,
    "exa": _exa,
    "brave": _brave,
    "serper": _serper,
    "searxng": _searxng,
}
ERRORS: dict[str, Callable[[int, str], Json]] = {
    "tavily": lambda status, key: {"detail": {"error": f"{status}: the key {key} can't be used."}},
    "exa": lambda status, key: {"requestId": "60a99b1a", "error": f"Key {key}: {status}", "tag": "INVALID_API_KEY"},
    "brave": lambda status, key: {
        "type": "ErrorResponse",
        "error": {"status": status, "code": "SUBSCRIPTION_TOKEN_INVALID", "detail": key},
        "time": 1719000000,
    },
    "serper": lambda status, key: {"message": f"Unauthorized: {key}", "statusCode": status},
}
