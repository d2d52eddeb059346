"""The tool `web_fetch`: a page of the public web as text, a part at a time."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ..errors import ToolError
from ..results import Source
from . import Output, Tool, typed
from .fetch import Fetcher
from .seen import Seen

PART = 25_000  # characters at a time
ABOUT = (
    "Read a web page or a PDF as text. Give an address from the question, from search results or from a page you "
    "have read, exactly as it stood there. A long page comes in parts: call again with the offset it names."
)


class Asked(BaseModel):
    url: str = Field(description="http or https address of the page")
    offset: int = Field(default=0, ge=0, description="characters to skip; 0 is the beginning")


def fetch_tool(fetcher: Fetcher, seen: Seen) -> Tool:
    """The tool for one seat.

    Args:
        fetcher: the run's, so that seats share pages.
        seen: the addresses this seat may fetch; the links of the parts it reads are added.
    """

    async def fetch(asked: Asked) -> Output:
        if not seen.allows(asked.url):
            raise ToolError(
                "This address was in neither the question, nor search results, nor a page you have read; "
                "only such addresses are fetched, exactly as they stood there."
            )
        url, page = await fetcher.page(asked.url)
        part = page.text[asked.offset : asked.offset + PART]
        if not part:
            raise ToolError(f"The page has {len(page.text)} characters; an offset of {asked.offset} is past its end.")
        seen.add(url)
        seen.add_text(part)
        head = f"Title: {page.title or '(none)'}\nAddress: {url}\n{_place(asked.offset, len(part), len(page.text))}"
        return Output(f"{head}\n\n{part}", sources=(Source(url=url, title=page.title),))

    return typed("web_fetch", ABOUT, Asked, fetch)


def _place(offset: int, length: int, total: int) -> str:
    end = offset + length
    if length == total:
        return f"Characters: {total}, all of them"
    more = f"; the next offset is {end}" if end < total else "; this is the end"
    return f"Characters: {offset} to {end} of {total}{more}"
