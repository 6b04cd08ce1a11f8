"""botocore's parser of answers, for servers that put into a number's place what is none."""

import re
from typing import Any

from botocore.parsers import ResponseParserError, ResponseParserFactory, RestXMLParser

_NUMBER = re.compile("[0-9]{1,18}")  # bytes or keys, in 64 bits


class ImpossibleAnswer(ResponseParserError):  # type: ignore[misc]
    """An answer that no S3 server can mean; its text is what is odd."""


class Parsers(ResponseParserFactory):  # type: ignore[misc]
    """botocore's factory, which gives our parser for S3."""

    def create_parser(self, protocol_name: str) -> Any:
        """The parser of a protocol."""
        if protocol_name == "rest-xml":
            return _Parser(**self._defaults)
        return super().create_parser(protocol_name)


class _Parser(RestXMLParser):  # type: ignore[misc]
    """Numbers, of a listing or among the headers, are whole and not negative, or raise ImpossibleAnswer: botocore takes
    whatever Python takes for one, and raises a bare ValueError for the rest."""

    def _handle_integer(self, shape: Any, node: Any) -> int:
        text = str(getattr(node, "text", node) or "").strip()
        if not _NUMBER.fullmatch(text):
            raise ImpossibleAnswer(f"{shape.name} is “{_shown(text)}”, which is no number of bytes or keys")
        return int(text)

    _handle_long = _handle_integer


def _shown(text: str) -> str:
    """The beginning of a server's text, without what a terminal would act upon."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:40])
