"""Forms (multipart/form-data, RFC 7578) with a picture in them: from bytes to texts and a file.

The body is here already, and bounded. python-multipart finds the parts in it; Starlette's own
reading of forms writes files to disk, and reads texts that are no UTF-8 as something else.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.errors import RequestError
from api.wording import short

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # is there for types alone

PICTURE_FIELD = "image"
MAX_PARTS = 32


@dataclass
class Form:
    """What a form holds: its texts by name, and the picture's file, if there is one."""

    texts: dict[str, str] = field(default_factory=dict)
    picture: bytes | None = None


def parse_form(body: bytes, content_type: str) -> Form:
    """Take a form apart.

    Args:
        body: of the request.
        content_type: its header, which holds the boundary.

    Raises:
        RequestError: it is no whole form, a field is there twice, or a file has another name.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise RequestError("the Content-Type of a form must name its boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RequestError(f"the body is not a valid form: {error}") from None
    if not reader.ended:
        raise RequestError("the body is not a whole form: its last boundary is missing")
    return reader.form


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._parts = 0
        self._seen: set[str] = set()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._whole,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(f"the form has more than {MAX_PARTS} parts")
        self._name, self._value = b"", b""
        self._disposition = b""
        self._content = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += memoryview(data)[start:end]

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = _text(options.get(b"name", b""), "a field's name")
        if not name:
            raise RequestError("each part of the form must have a name (Content-Disposition)")
        if name in self._seen:
            raise RequestError(f"the form has {short(name)} more than once")
        self._seen.add(name)
        if b"filename" in options:
            self._file(name, options[b"filename"])
        elif name == PICTURE_FIELD:
            raise RequestError("image must be sent as a file: with a file name, as browsers do")
        else:
            self.form.texts[name] = _text(bytes(self._content), short(name))

    def _file(self, name: str, filename: bytes) -> None:
        if not filename and not self._content:
            return  # a browser's field for a file where none was chosen
        if name != PICTURE_FIELD:
            raise RequestError(f"unknown file {short(name)}: the picture's field is called 'image'")
        self.form.picture = bytes(self._content)

    def _whole(self) -> None:
        self.ended = True


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RequestError(f"{what} must be UTF-8") from None
