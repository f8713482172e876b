"""Parser of forms (multipart/form-data, RFC 7578) with a picture: from bytes to texts and a file.

The body is in memory already, and bounded, so it is split at its boundaries as any bytes are.
python-multipart (0.0.34) looks again at each place where a boundary may begin: of 21 MiB, a file of
`\\r\\n--BOUNDARYx` alone takes it 8.6 s, and a form of empty parts 5 s, against 0.1 s here.
"""

from dataclasses import dataclass, field
from email.message import Message

from api.errors import RequestError
from api.requests.validation import short

FORM_TYPE = "multipart/form-data"
PICTURE_FIELD = "image"
MAX_PARTS = 32
MAX_HEAD_BYTES = 16 << 10
MAX_TEXT_BYTES = 1 << 20
"""Of all texts together: as much as a body of JSON may have by default."""

_MAX_BOUNDARY_CHARS = 256  # RFC 2046 has 70
_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


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
    form, seen, text_bytes = Form(), set[str](), 0
    for part in _parts(body, _boundary(content_type)):
        name, is_file, content = _read(part)
        if name in seen:
            raise RequestError(f"the form has {short(name)} more than once")
        seen.add(name)
        if is_file:
            if content is not None and name != PICTURE_FIELD:
                raise RequestError(
                    f"unknown file {short(name)}: the picture's field is called 'image'"
                )
            form.picture = content if name == PICTURE_FIELD else form.picture
            continue
        if name == PICTURE_FIELD:
            raise RequestError("image must be sent as a file: with a file name, as browsers do")
        text_bytes += len(content or b"")
        if text_bytes > MAX_TEXT_BYTES:
            raise RequestError(f"the form's texts are larger than {MAX_TEXT_BYTES} bytes")
        form.texts[name] = _text(content or b"", short(name))
    return form


def _boundary(content_type: str) -> bytes:
    boundary = _header("Content-Type", content_type).get("boundary", "")
    if not boundary:
        raise RequestError(
            "the Content-Type of a form must name its boundary: let your HTTP client set the header"
        )
    if len(boundary) > _MAX_BOUNDARY_CHARS or not boundary.isascii():
        raise RequestError(f"a boundary must be ASCII of at most {_MAX_BOUNDARY_CHARS} characters")
    return boundary.encode()


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries, each beginning with the rest of its boundary's line."""
    delimiter = b"\r\n--" + boundary
    whole = b"\r\n" + body
    if whole.count(delimiter) > MAX_PARTS + 1:
        raise RequestError(f"the form has more than {MAX_PARTS} parts")
    _, *pieces = whole.split(delimiter)
    for number, piece in enumerate(pieces):
        if piece.startswith(b"--"):  # the last boundary; what follows it is nothing
            return pieces[:number]
    raise RequestError("the body is not a whole form: its last boundary is missing")


def _read(part: bytes) -> tuple[str, bool, bytes | None]:
    """A part's name, whether it is a file, and what it holds; None where no file was chosen."""
    line, head = part.find(b"\r\n", 0, MAX_HEAD_BYTES), part.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if line < 0 or head < 0 or part[:line].strip(b" \t"):
        raise RequestError("a part of the form has no head that ends within 16 KiB")
    content = part[head + 4 :]
    heads = _heads(part[line + 2 : head])
    kind, options = heads.get("content-disposition", ("", {}))
    name = options.get("name", "")
    if kind != "form-data" or not name:
        raise RequestError("each part of the form must have a name (Content-Disposition)")
    encoding = heads.get("content-transfer-encoding", ("", {}))[0]
    if encoding not in _PLAIN_ENCODINGS:
        raise RequestError(f"{short(name)} must be sent as it is, without a transfer encoding")
    # An empty file without a name is a browser's field for a file where none was chosen.
    is_file = "filename" in options
    chosen = not is_file or bool(content) or bool(options["filename"])
    return name, is_file, content if chosen else None


def _heads(head: bytes) -> dict[str, tuple[str, dict[str, str]]]:
    """The headers by name: the value, and its options."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for line in filter(None, _text(head, "the head of a form's part").split("\r\n")):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name != name.strip() or name in found:
            raise RequestError("a part of the form has a head that is no header, or twice the same")
        found[name] = value.partition(";")[0].strip().lower(), _header(name, value)
    return found


def _header(name: str, value: str) -> dict[str, str]:
    """The options of a header, such as `name="a"; filename="b"`.

    Raises:
        RequestError: one of them is there twice.
    """
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    options = (message.get_params([], header=name) or [("", "")])[1:]
    if len({key for key, _ in options}) < len(options):
        raise RequestError(f"the {name} header says one thing twice")
    # RFC 2231's form, as in `filename*=utf-8''a`, comes in three parts.
    return {key.lower(): text if isinstance(text, str) else text[2] for key, text in options}


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RequestError(f"{what} must be UTF-8") from None
