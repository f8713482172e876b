"""The faults: one place each, in every room.

A fault is a text that stands exactly once in its room, and what is put in its place. Where the code
has been written anew, a fault has several such texts: the first one that is found is taken, so that
the same table judges an older state of the project.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mutant:
    """A fault, and the tests that should notice it.

    Attributes:
        name: what goes wrong.
        room: the folder or file with the code, or several with a plus between them; the tests are
            under the first one's name in `tests`.
        variants: the text, and what it becomes.
        tests: names of files, `name::test` for one of their tests, with a folder of `tests` before
            them where it is not the room's; those that are there are run.
    """

    name: str
    room: str
    variants: tuple[tuple[str, str], ...]
    tests: tuple[str, ...] = field(default=())


def fault(name: str, where: str, before: str, after: str, *tests: str) -> Mutant:
    """A fault with one text; more are added with `or_as`."""
    return Mutant(name, where, ((before, after),), tests)


API = [
    fault(
        "two Authorization headers are let in",
        "api",
        "return len(given) == 1 and scheme",
        "return scheme",
        "test_gate.py",
    ),
    fault("a key must be all keys", "api", "any(matches)", "all(matches)", "test_gate.py"),
    fault(
        "a compressed body is read",
        "api",
        '"identity").lower() != "identity"',
        '"identity").lower() == "none"',
        "test_gate.py",
    ),
    fault(
        "a form of a foreign page is taken",
        "api",
        "if is_foreign_form(scope, self._origins):",
        "if False:",
        "serve/test_uploads.py::test_only_this_services_pages_send_forms",
    ),
    fault(
        "a full service takes a body that began early",
        "api",
        "if self._places.are_taken():  # they were not",
        "if False:  # they were not",
        "test_gate.py",
        "test_places.py",
        "test_bodies.py",
    ),
    fault(
        "passwords stay in the log",
        "api",
        'text = _CREDENTIALS.sub(f"{_GONE}@", text)',
        "text = text",
        "test_redaction.py",
    ),
    fault(
        "a short key hides a part of a longer one",
        "api",
        "sorted(secrets, key=len, reverse=True)",
        "sorted(secrets, key=len)",
        "test_redaction.py",
    ),
    fault(
        "JSON may be one deeper",
        "api",
        "if depth > MAX_DEPTH:",
        "if depth > MAX_DEPTH + 1:",
        "test_json_text.py",
    ),
    fault(
        "a key may be given twice",
        "api",
        "if len(dict(pairs)) < len(pairs):",
        "if len(dict(pairs)) > len(pairs):",
        "test_json_text.py",
    ),
    fault(
        "a parameter may be given twice",
        "api",
        "if name in given:",
        'if name in given and name == "":',
        "test_reading.py",
        "test_mounted.py",
    ),
    fault(
        "If-None-Match: * is not known",
        "api",
        'known & {_weak(tag), "*"}',
        "known & {_weak(tag)}",
        "test_mounted.py",
        "serve/test_pictures.py",
    ),
    fault(
        "memory is given back by the first user",
        "api",
        "if self._users == 0:",
        "if self._users <= 1:",
        "test_budget.py",
    ),
    fault(
        "memory is taken that is not free",
        "api",
        "while self.free_bytes < wanted:",
        "while self.free_bytes < wanted // 2:",
        "test_budget.py",
    ),
    fault(
        "an unknown setting is ignored",
        "api",
        "startswith(ENV_PREFIX) and own not in known:",
        "startswith(ENV_PREFIX) and not known:",
        "test_settings.py",
    ),
    fault(
        "a batch's on_duplicate goes before the image's",
        "api",
        "on_duplicate if own is None else own",
        "on_duplicate or own",
        "test_adding.py",
    ),
    fault(
        "images of one url are added in any order",
        "api",
        "chains.setdefault(position if url is None else url, [])",
        "chains.setdefault(position, [])",
        "test_adding.py",
    ),
    fault(
        "a duplicate is a near-duplicate as well",
        "api",
        "[hit for hit in near if hit.id != added.duplicate_of]",
        "list(near)",
        "test_adding.py",
    ),
    fault(
        "an unforeseen error is told",
        "api",
        '"internal error; the server\'s log has the details"',
        "str(error)",
        "test_errors.py",
    ),
    fault(
        "terms that cancel each other are searched",
        "api",
        "if length <= _LEAST_LEFT",
        "if length <= 1e-12 * _LEAST_LEFT",
        "test_terms.py",
    ),
    fault(
        "a model's short answer is believed",
        "api",
        "if len(results) != len(items):",
        "if len(results) > len(items):",
        "test_model_call.py",
    ),
    fault(
        "a search returns eleven",
        "api",
        'limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="Most results',
        'limit: int = Field(default=11, ge=1, le=MAX_LIMIT, description="Most results',
        "test_schemas.py",
        "serve/test_contract.py",
    ),
]

IMAGES = [
    fault(
        "half of the shared addresses are public",
        "images",
        '"100.64.0.0/10"',
        '"100.64.0.0/11"',
        "test_addresses.py",
    ),
    fault(
        "a mapped address is another one",
        "images",
        "return address.ipv4_mapped",
        "return address",
        "test_addresses.py",
    ),
    fault(
        "what an address carries is not judged",
        "images",
        "if inner is not None and not allow",
        "if inner is not None and allow",
        "test_addresses.py",
    ),
    fault(
        "the first address is judged for all",
        "images",
        "for address in addresses:\n                _refuse",
        "for address in addresses[:1]:\n                _refuse",
        "test_fetch_guard.py",
    ),
    fault(
        "one redirect more",
        "images",
        "settings.max_redirects + 1",
        "settings.max_redirects + 2",
        "test_fetch.py",
    ),
    fault(
        "a database's port",
        "images",
        "port >= 1024 and port not in _SERVICE_PORTS",
        "port >= 1024",
        "test_ports.py",
    ),
    fault(
        "credentials in a URL",
        "images",
        'if "@" in match["authority"]:',
        'if "@@" in match["authority"]:',
        "test_fetch.py",
        "test_fetch_guard.py",
    ),
    fault(
        "a file is too large only when it is twice as large",
        "images",
        "if len(body) > limit_bytes:",
        "if len(body) > 2 * limit_bytes:",
        "test_fetch.py",
        "test_fetch_hostile.py",
    ),
    fault(
        "a compressed answer is read",
        "images",
        'if encoding not in ("", "identity"):',
        'if encoding not in ("", "identity", "gzip"):',
        "test_fetch.py",
        "test_fetch_hostile.py",
    ),
    fault(
        "a connection serves another port",
        "images",
        "if pair[1].origin == origin:",
        "if pair[1].origin.host == origin.host:",
        "test_fetch_reuse.py",
    ),
    fault(
        "a picture of just the limit is refused",
        "images",
        "if width * height > limits.max_image_pixels:",
        "if width * height >= limits.max_image_pixels:",
        "test_decode_limits.py",
    ),
    fault(
        "a strip may be twice as long",
        "images",
        "> limits.max_aspect_ratio * min",
        "> 2 * limits.max_aspect_ratio * min",
        "test_decode_limits.py",
    ),
    fault(
        "a picture is turned the other way",
        "images",
        "6: Image.Transpose.ROTATE_270",
        "6: Image.Transpose.ROTATE_90",
        "test_decode.py",
    ),
    fault(
        "an animation may have a frame more",
        "images",
        "if frames > limits.max_image_frames:",
        "if frames > limits.max_image_frames + 1:",
        "test_decode_limits.py",
    ),
    fault(
        "the surest box is drawn first",
        "images",
        "sorted(boxes, key=lambda box: box.confidence)",
        "sorted(boxes, key=lambda box: -box.confidence)",
        "test_draw.py",
    ),
    fault(
        "the padding is a shade lighter",
        "images",
        "_PADDING = (114, 114, 114)",
        "_PADDING = (115, 115, 115)",
        "test_prepare.py",
    ),
    fault(
        "a digest leaves the shape out",
        "images",
        'struct.pack(">II", width, height)',
        'struct.pack(">I", width * height)',
        "test_digest.py",
    ),
]

STORE = [
    fault(
        "relevance ends earlier",
        "store",
        "LEAST_SHARE = 0.65",
        "LEAST_SHARE = 0.9",
        "test_cutoff.py",
    ),
    fault(
        "an image is its own near-duplicate",
        "store",
        'row["id"] != wanted.excluded_id',
        'row["id"] is not None',
        "test_duplicates.py",
    ),
    fault(
        "the oldest version of a minute stays",
        "store",
        "in step[:1]}",
        "in step[-1:]}",
        "test_retention.py",
    ),
    fault(
        "a missing value is unknown, not unequal",
        "store",
        'return f"({column.name} IS NOT NULL AND {condition})"',
        'return f"({condition})"',
        "test_filters.py",
        "test_filters_agree.py",
    ),
    fault(
        "less than 2.0 is up to 2",
        "store",
        '("<=", lambda x: math.ceil(x) - 1)',
        '("<=", math.floor)',
        "test_filters.py",
        "test_filters_agree.py",
    ),
    fault(
        "integers of 65 bits",
        "store",
        "INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1",
        "INT64_MIN, INT64_MAX = -(2**63), 2**63",
        "test_values.py",
    ),
    fault("times to the millisecond", "store", "[:6]:0<6}", "[:3]:0<6}", "test_values.py"),
    fault(
        "the newest twin is named",
        "store",
        "return min(twins, key=",
        "return max(twins, key=",
        "test_writer.py",
        "test_commit.py",
        "test_duplicates.py",
        "test_differential.py",
    ),
    fault(
        "null does not take a key away",
        "store",
        "for key, value in merged.items() if value is not None",
        "for key, value in merged.items()",
        "test_writer.py",
        "test_metadata.py",
        "test_commit.py",
    ),
    fault(
        "rows of one moment",
        "store",
        "self._last + _TICK",
        "self._last",
        "test_writer.py",
        "test_commit.py",
        "test_search.py",
    ),
    fault(
        "a condition less",
        "store",
        "if self._terms > MAX_TERMS:",
        "if self._terms >= MAX_TERMS:",
        "test_filters.py",
    ),
    fault(
        "$exists the other way",
        "store",
        "return _negated(missing(column)) if operand else",
        "return _negated(missing(column)) if not operand else",
        "test_filters.py",
        "test_filters_agree.py",
    ),
    fault(
        "the first of a list counts most by far",
        "store",
        "np.arange(1, len(each) + 1)",
        "np.arange(1, len(each) + 1) ** 4 - RRF_K",
        "test_search.py",
    ),
    fault(
        "half as many fragments more",
        "store",
        "for size in sizes) > FEW",
        "for size in sizes) > FEW + 5",
        "test_upkeep.py",
    ),
    fault(
        "the disk is not waited for",
        "store",
        "if self._folder is not None and self._sync:",
        "if self._folder is None and self._sync:",
        "test_durable.py",
    ),
    fault(
        "a manifest with a piece too much is whole",
        "store",
        "_LENGTH.unpack_from(content, begin)[0] == end)",
        "_LENGTH.unpack_from(content, begin)[0] >= end)",
        "test_durable.py",
        "test_damage.py",
    ),
    fault(
        "going back to just before a moment",
        "store",
        "each.created_at <= before)",
        "each.created_at < before)",
        "test_versions.py",
    ),
    fault(
        "what was called off is written",
        "store",
        "await self._batch() if not each[1].done()]",
        "]",
        "test_writer.py",
    ),
    fault(
        "a commit of one row more",
        "store",
        "if len(batch) == self._max_rows or",
        "if len(batch) == self._max_rows + 1 or",
        "test_writer.py",
        "test_commit.py",
    ),
    fault(
        "rows are added to a full disk",
        "store",
        "not await asyncio.to_thread(has_room, self._folder)",
        "False",
        "test_disk.py",
    ),
    fault(
        "a delete counts what another took",
        "store",
        "left -= delete.wanted",
        "pass",
        "test_writer.py",
        "test_commit.py",
    ),
    fault(
        "a marked picture is removed at once",
        "store",
        "elif age_s > max(keep_s, SETTLED_S):",
        "elif age_s > min(keep_s, SETTLED_S):",
        "test_pictures.py",
    ),
    fault(
        "rows of one moment backwards",
        "store",
        '[("created_at", "descending"), ("id", "ascending")]',
        '[("created_at", "descending"), ("id", "descending")]',
        "test_search.py",
    ),
    fault(
        "a key more",
        "store",
        "+ len(added) > MAX_KEYS:",
        "+ len(added) > MAX_KEYS + 1:",
        "test_metadata.py",
    ),
    fault(
        "an index a row later",
        "store",
        "if rows < min_rows:",
        "if rows <= min_rows:",
        "test_vector_index.py",
    ),
    fault(
        "a table of the past is written",
        "store",
        "if is_superseded(schema):\n        raise",
        "if not schema:\n        raise",
        "test_reembed_states.py",
        "test_reembed.py",
        "test_commit.py",
    ),
]

RUNNERS = [
    fault(
        "a lone call waits",
        "runners",
        "min(optimizer.wait, MAX_WAIT_S)",
        "max(optimizer.wait, MAX_WAIT_S)",
        "test_batching.py",
    ),
    fault(
        "too few results are believed",
        "runners",
        "if len(results) != items:",
        "if len(results) > items:",
        "test_services.py",
    ),
    fault(
        "boxes are suppressed earlier",
        "runners",
        "_NMS_IOU = 0.7",
        "_NMS_IOU = 0.3",
        "test_yolo_model.py",
    ),
    fault(
        "a width that is no multiple",
        "runners",
        "height % stride == width % stride == 0",
        "height % stride == 0",
        "test_yolo_model.py",
    ),
    fault(
        "an embedding that is none",
        "runners",
        "_UNIT_TOLERANCE).all():",
        "_UNIT_TOLERANCE).any():",
        "test_clip_model.py",
    ),
    fault(
        "colours are not normalised",
        "runners",
        ".sub_(self._mean).div_(self._std)",
        ".sub_(self._mean)",
        "test_clip_model.py",
    ),
    fault(
        "the official hash goes before the user's",
        "runners",
        "source.sha256 or source.official",
        "source.official or source.sha256",
        "test_loading.py",
        "test_downloads.py",
    ),
    fault(
        "a long word is encoded whole",
        "runners",
        r"(\S{64})\S+",
        r"(\S{4096})\S+",
        "test_clip_model.py",
    ),
]

CLI = [
    fault(
        "a row that is not done counts as done",
        "cli",
        "key < self._mark)",
        "key <= self._mark)",
        "test_indexing_parts.py",
    ),
    fault(
        "a postal code is a number",
        "cli",
        r"[+-]?(0|[1-9]\d{0,18})",
        r"[+-]?\d{1,19}",
        "test_indexing_parts.py",
    ),
    fault(
        "no request may be in flight",
        "cli",
        "self._size = max(1.0, self._size / 2)",
        "self._size = max(0.0, self._size / 8)",
        "test_indexing_parts.py",
    ),
    fault(
        "hidden files are indexed",
        "cli",
        'if not entry.name.startswith(".")]',
        "]",
        "test_index_files.py",
        "test_indexing_parts.py",
    ),
    fault(
        "a line that was cut off stays",
        "cli",
        "self._file.truncate(end)",
        "self._file.seek(0, 2)",
        "test_indexing_parts.py",
    ),
]

CLIENT = [
    fault(
        "one attempt more",
        "image_search",
        "if failed >= self.attempts or",
        "if failed > self.attempts or",
        "test_retries.py",
    ),
    fault(
        "an attempt after the end",
        "image_search",
        "elapsed_s + pause <= self.within_s",
        "elapsed_s <= self.within_s",
        "test_retries.py",
    ),
    fault(
        "what timed out is sent again",
        "image_search",
        "if isinstance(error, TimedOutError):\n        return False",
        "if isinstance(error, TimedOutError):\n        return True",
        "test_retries.py",
    ),
]

SERVICE = [
    fault(
        "ready without the models",
        "service.py+api",
        "return await answering(self.embedder, self.detector)",
        "return True",
        "serve/test_stops.py::test_without_an_answering_model_it_is_not_ready",
    ),
    fault(
        "the offset of a search is ignored",
        "service.py+api",
        "query_of(backend, request)",
        'query_of(backend, request.model_copy(update={"offset": 0}))',
        "serve/test_searching.py",
        "serve/test_contract.py",
    ),
]

MUTANTS = [*SERVICE, *API, *IMAGES, *STORE, *RUNNERS, *CLI, *CLIENT]
