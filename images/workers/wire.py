"""Wire format between the API's process and a decoder: a head and a body.

    head length (4 bytes) | body length (8 bytes) | head: a JSON object | body: raw bytes

Both numbers are big-endian. Heads are JSON and never pickles, as a decoder reads what strangers
made. A descriptor may travel with a request, never with a reply.
"""

from struct import Struct
from typing import Any

LENGTHS = Struct(">IQ")
MAX_HEAD_BYTES = 1 << 20
Head = dict[str, Any]
Body = bytes | memoryview
