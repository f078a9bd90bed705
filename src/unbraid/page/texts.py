"""The words of the page, as HTML in which everything that a user named is escaped."""

from collections.abc import Sequence
from html import escape

from unbraid.benchmark.method_pages import bibtex
from unbraid.files import read_json
from unbraid.page.actions import limits, words
from unbraid.page.session import Clip, Session
from unbraid.report import protocols
from unbraid.report.blocks import Block, Cells, Commands, Heading, Paragraph, as_text
from unbraid.report.page import headline
from unbraid.report.templates import write_blocks

__all__ = ["HEADER", "about", "caption", "hint", "introduction", "remarks", "scores", "warning"]

HEADER = (
    '<header><h1>unbraid</h1><p>A sequence is split into <b class="static">what stays</b>, one static code, and '
    '<b class="dynamic">what changes</b>, a dynamic code for each step. Choose two sequences and exchange them.</p></header>'
)


def introduction(session: Session) -> str:
    """What the run is, how well it does, and what its method cannot do."""
    static, dynamic = words(session)
    parts = [f'<h2>{escape(session.title)}</h2><p class="lead">{escape(headline(session.scores))}</p>']
    if (static, dynamic) != ("static code", "dynamics"):
        parts.append(
            f'<p class="quiet">Here the static code is the <b class="static">{static}</b>, the dynamic code the '
            f'<b class="dynamic">{dynamic}</b>.</p>'
        )
    parts += [f'<p class="quiet">{escape(sentence)}</p>' for sentence in limits(session)]
    if session.missing:
        text = f"The run's own data cannot be read, so upload sequences of your own. {session.missing}"
        parts.append(warning(text))
    return "".join(parts)


def hint(text: str) -> str:
    """A sentence above what a tab shows."""
    return f'<p class="hint">{escape(text)}</p>'


def caption(text: str) -> str:
    """A caption below a picture."""
    return f'<p class="caption">{escape(text)}</p>'


def warning(text: str) -> str:
    """What went wrong, and what to do."""
    return f'<p class="warning" role="alert">{escape(text)}</p>'


def remarks(clips: Sequence[Clip], texts: Sequence[str]) -> str:
    """What was read of an upload."""
    count = f"{len(clips)} sequences" if len(clips) > 1 else "one sequence"
    return f'<p class="remark">{escape("; ".join([f"Read {count} of yours", *texts]))}.</p>'


def scores(session: Session) -> str:
    """Every score beside its floor, as in the run's report."""
    if not session.scores:
        return write_blocks(
            [Paragraph("This run has not been scored: run `unbraid evaluate` on it.", "lead")]
        )
    blocks: list[Block] = [Paragraph(FLOORS, "caption")]
    for name, values in session.scores.items():
        blocks += protocols.section(name, values, session.run.folder)
    return write_blocks(blocks)


FLOORS = (
    "A floor is the score of chance or of a trivial method: what a score must beat to mean anything. Figures are of the test "
    "split unless a table says otherwise."
)


def about(session: Session) -> str:
    """The method, the training and how to cite."""
    card = session.model.card
    path = session.run.folder / "environment.json"
    environment = read_json(path) if path.is_file() else {}
    rows = [
        ["method", f"{card.name}: {card.summary}"],
        ["publication", f"{card.authors}: {card.title}. {card.venue} {card.year}"],
        ["observation", f"{session.kind}, {' x '.join(map(str, session.model.observation))}"],
        ["codes", f"static {session.model.static_size}, dynamic {session.model.dynamic_size} in each step"],
        ["run", str(session.run.folder)],
        *[[name, as_text(value)] for name, value in environment.items() if name in ABOUT],
    ]
    settings = "\n".join(
        f"{part}.{name}: {as_text(value)}"
        for part, values in session.run.config.items()
        if isinstance(values, dict)
        for name, value in values.items()
    )
    return write_blocks(
        [
            Heading("This model"),
            Cells([], rows),
            Heading("How the method differs from the paper", 3),
            *[Paragraph(text) for text in card.deviations],
            Heading("How to cite the method", 3),
            Commands(bibtex(card)),
            Commands(settings, title="all settings"),
        ]
    )


ABOUT = (
    "started",
    "parameters",
    "steps",
    "kept_step",
    "seconds",
    "device",
    "sequences",
    "data_fingerprint",
    "unbraid",
)
