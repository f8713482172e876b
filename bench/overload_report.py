"""What `bench.overload` prints of an overload, and how its answers and its work are counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.generator import Load, Sent, kinds_of
from bench.processes import Watch
from bench.report import Cell, Report
from bench.timing import Timed
from bench.traffic import documented_codes
from bench.verdict import percentile
from bench.wire import NO_ANSWER, Answer


@dataclass(frozen=True)
class Span:
    """A load, and what came of it."""

    load: Load
    sent: Sent

    def work(self, first_s: float = 0) -> Counter[str]:
        """Good requests that were answered 200 while the load lasted, by kind.

        Args:
            first_s: seconds at its beginning that do not count.
        """
        kinds = kinds_of(self.load)
        start, end = self.sent.began + first_s, self.sent.began + self.load.seconds
        return Counter(
            kinds[answer.kind].name
            for answer in self.sent.answers
            if answer.status == 200 and not kinds[answer.kind].codes and start <= answer.done < end
        )

    def rate(self) -> float:
        """Good requests that were answered, per second."""
        return self.work().total() / self.load.seconds

    def flaws(self) -> Counter[str]:
        """What is wrong with answers, apart from how long they took, and how often."""
        kinds, documented = kinds_of(self.load), documented_codes()
        found = (flaw_of(each, kinds[each.kind].codes, documented) for each in self.sent.answers)
        return Counter(flaw for flaw in found if flaw)

    def refused_ms(self) -> list[float]:
        """How long each 429 took, from when its request was due."""
        return [(each.done - each.due) * 1e3 for each in self.sent.answers if each.status == 429]


def weighed(done: Mapping[str, int], lone: Mapping[str, Timed[int]]) -> float:
    """Work as the seconds that it would take as lone requests.

    A full service may answer more of the cheap kinds and fewer of the dear ones: that is less work.
    """
    return sum(count * lone[kind].ms(50) / 1e3 for kind, count in done.items())


def flaw_of(answer: Answer, codes: frozenset[str], documented: frozenset[str]) -> str | None:
    """What is wrong with an answer, apart from how long it took.

    Args:
        answer: to one request.
        codes: the request's own reasons to be refused; none for a good one.
        documented: of every 400.
    """
    if answer.status == NO_ANSWER:
        return "no answer"
    if answer.status == 200:
        return "a bad request was answered 200" if codes else None
    if answer.status == 429:
        return None
    if answer.status == 400 and answer.code in (documented | codes):
        return None
    return f"answered {answer.status} {answer.code}"


def tell_answers(report: Report, span: Span) -> None:
    """Print every answer by whether it was to a good request, its status and its code."""
    kinds = kinds_of(span.load)
    groups: dict[tuple[str, int, str], list[float]] = {}
    for answer in span.sent.answers:
        asked = "bad" if kinds[answer.kind].codes else "good"
        key = (asked, answer.status, answer.code)
        groups.setdefault(key, []).append((answer.done - answer.due) * 1e3)
    report.table(
        ["request", "status", "code", "answers", "p50 ms", "p99 ms", "most ms"],
        [
            (asked, str(status or "none"), code, len(ms), *spread(ms), max(ms))
            for (asked, status, code), ms in sorted(groups.items())
        ],
        "answers; times from when the request was due",
    )


def tell_work(report: Report, spans: Mapping[str, Span], lone: Mapping[str, Timed[int]]) -> None:
    """Print the work done per second: requests by kind, and all weighed."""
    done = [(span.work(), span.load.seconds) for span in spans.values()]
    kinds = sorted({kind for work, _ in done for kind in work})
    rows: list[tuple[Cell, ...]] = [
        (kind, *(work[kind] / seconds for work, seconds in done)) for kind in kinds
    ]
    rows.append(("all", *(span.rate() for span in spans.values())))
    rows.append(("all, in seconds of lone requests", *(weighed(w, lone) / s for w, s in done)))
    report.table(["good requests answered per s", *spans], rows)


def tell_cores(report: Report, spans: Mapping[str, Span], watch: Watch) -> None:
    """Print what each process took of the machine."""
    columns = {}
    for name, span in spans.items():
        took = watch.cores_between(span.sent.began, span.sent.began + span.load.seconds)
        columns[name] = {**took, "load generator": span.sent.cpu}
    processes = list(dict.fromkeys(process for took in columns.values() for process in took))
    rows = [(each, *(took.get(each) for took in columns.values())) for each in processes]
    report.table(["cores", *columns], rows)


def tell_lone(report: Report, before: dict[str, Timed[int]], after: dict[str, Timed[int]]) -> None:
    """Print how long lone requests took before and after it."""
    report.table(
        ["lone request", "p50 ms before", "after", "p90 ms before", "after "],
        [
            (what, before[what].ms(50), after[what].ms(50), before[what].ms(90), after[what].ms(90))
            for what in before
        ],
    )


def tell_load(report: Report, span: Span, beats: Sequence[tuple[float, bool]]) -> None:
    """Print how quickly heartbeats and refusals came, and whether the generator kept up."""
    sent, load = span.sent, span.load
    late = [(answer.sent - answer.due) * 1e3 for answer in sent.answers]
    took = [(a.done - a.sent) * 1e3 for a in sent.answers if a.status == 429]
    ms = [each for each, _ in beats]
    report.table(
        ["ms", "n", "p50", "p99", "most"],
        [
            ("heartbeat", len(ms), *spread(ms), max(ms, default=None)),
            ("429, from when it was sent", len(took), *spread(took), max(took, default=None)),
            ("sent after it was due", len(late), *spread(late), max(late, default=None)),
        ],
    )
    report.say(
        f"generator: {len(sent.answers) / load.seconds:.0f} requests/s,"
        f" {sent.cpu:.2f} cores at niceness {load.niceness},"
        f" {sent.most_connections} connections, {sent.repeated} sent twice, {sent.unsent} unsent\n"
    )


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    return percentile(values, 50), percentile(values, 99)
