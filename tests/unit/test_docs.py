"""Links lead somewhere, cited sections exist, and nothing names one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS = ROOT / "docs" / "protocols"
TEXT_SUFFIXES = {".cfg", ".ini", ".js", ".json", ".jsonl", ".md", ".mjs", ".py", ".sh"}
TEXT_SUFFIXES |= {".toml", ".ts", ".txt", ".yaml", ".yml", ""}
BUILT = {"__pycache__", "build", "dist", "htmlcov", "node_modules", "recordings", "results"}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(<?([^()\s<>]*(?:\([^()\s]*\))?[^()\s<>]*)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
NUMBERED = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", re.MULTILINE)

# A citation may be wrapped: between two words any blanks, and a comment sign on the next line.
GAP = r"(?:\s|\n\s*#)+"
NUMBER = r"\d+(?:\.\d+)?"
CITATION = re.compile(
    rf"docs/protocols/([\w-]+)\.md"
    rf"(?:`?,?{GAP}sections?{GAP}({NUMBER}(?:,?{GAP}(?:(?:and|to|or){GAP})?{NUMBER})*))?",
)

# One character of each is in brackets, so that this file does not find itself.
MACHINE = {
    "a home folder": r"(?<![\w.~])/(?:hom[e]|User[s])/\w[\w.-]*/|(?<![\w.~/])/roo[t]/",
    "a folder of one machine": r"(?<![\w.~/])/(?:wor[k]/|op[t]/[\w-]*(?:venv|wheels|pypi))",
    "a package registry": r"pyp[i]\.org|pythonhoste[d]\.org|registry\.(?:npmj[s]|yarnpk[g])\.",
    "a package index option": r"--(?:extra-)?inde[x]-url|--find-link[s]|--trusted-hos[t]",
}


def project_files() -> list[Path]:
    """Every file of the project that is or could be committed; in an sdist, every file."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not built(path.relative_to(ROOT))]
    return sorted(path for path in found if path.is_file())


def built(path: Path) -> bool:
    """Whether a path belongs to a cache or to what the build, the tests or the tool write."""
    return any(part in BUILT or part.endswith(("_cache", ".venv", ".git")) for part in path.parts)


def texts() -> list[tuple[str, str]]:
    """The project's text files: path from the top, content."""
    return [
        (str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for path in project_files()
        if path.suffix in TEXT_SUFFIXES
    ]


def pages() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """What `#…` can point at, in GitHub's spelling; a repeated heading counts on from -1."""
    found: set[str] = set()
    for title in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        name, count = slug, 0
        while name in found:
            count += 1
            name = f"{slug}-{count}"
        found.add(name)
    return found


def broken_links(page: Path) -> list[str]:
    """The relative links of one page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (
            anchor
            and file.suffix == ".md"
            and anchor not in anchors(file.read_text(encoding="utf-8"))
        ):
            broken.append(target)
    return broken


def unknown_citations(text: str) -> list[str]:
    """Citations of protocol pages, or of sections of them, that do not exist."""
    unknown = []
    for page, numbers in CITATION.findall(text):
        file = PROTOCOLS / f"{page}.md"
        sections = set(NUMBERED.findall(file.read_text(encoding="utf-8"))) if file.exists() else {}
        if not file.exists():
            unknown.append(f"{page}.md")
        unknown += [
            f"{page}.md, section {number}"
            for number in re.findall(NUMBER, numbers)
            if number not in sections
        ]
    return unknown


def machine_traces(text: str) -> list[str]:
    """What a text says about the machine it was written on."""
    return [
        f"{what}: {match.group()}"
        for what, pattern in MACHINE.items()
        for match in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_cited_protocol_section_exists() -> None:
    wrong = {name: found for name, text in texts() if (found := unknown_citations(text))}
    wrong.pop(str(Path(__file__).relative_to(ROOT)), None)  # the samples below
    assert wrong == {}


def test_no_file_names_one_machine_or_a_package_registry() -> None:
    wrong = {name: found for name, text in texts() if (found := machine_traces(text))}
    assert wrong == {}


def test_no_file_holds_the_path_of_this_checkout() -> None:
    checkout = re.compile(rf"(?<![\w.~/-]){re.escape(str(ROOT))}/")
    assert [name for name, text in texts() if checkout.search(text)] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {
        target
        for page in pages()
        for target in re.findall(r"`make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"))
    }
    assert named <= targets


def test_the_list_of_protocol_pages_is_complete() -> None:
    index = (PROTOCOLS / "README.md").read_text(encoding="utf-8")
    listed = {target for target in LINK.findall(index) if target.endswith(".md")}
    assert listed == {page.name for page in PROTOCOLS.glob("*.md")} - {"README.md"}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n[a](#one-two-three) [b](#two) [c](gone.md) [d](https://example.org)\n"
        "```\n[e](in-a-sample.md)\n```\n`[f](in-code.md)` ![g](gone.svg) [h](page.md#one)\n",
    )
    assert broken_links(page) == ["#two", "gone.md", "gone.svg", "page.md#one"]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("docs/protocols/cryptomus.md", []),
        ("docs/protocols/cryptomus.md, section 6.2", []),
        ("docs/protocols/cryptomus.md, sections 4, 5 and 6.5.", []),
        ("docs/protocols/cryptomus.md, section 6.9", ["cryptomus.md, section 6.9"]),
        ("docs/protocols/cryptomus.md,\n    section 99", ["cryptomus.md, section 99"]),
        ("docs/protocols/cryptomus.md,\n# sections 1 and\n# 77", ["cryptomus.md, section 77"]),
        ("docs/protocols/acme.md, section 1", ["acme.md", "acme.md, section 1"]),
    ],
)
def test_a_citation_of_a_missing_section_is_found(text: str, unknown: list[str]) -> None:
    assert unknown_citations(text) == unknown


@pytest.mark.parametrize(
    "text",
    [
        "see /ho" + "me/ann/notes.md",
        "cd /Us" + "ers/ann/src",
        "pip install --inde" + "x-url x",
        '"resolved": "https://registry.npm' + 'js.org/x"',
    ],
)
def test_a_trace_of_one_machine_is_found(text: str) -> None:
    assert machine_traces(text)


def test_an_address_path_is_no_machine_path() -> None:
    assert machine_traces("GET /v1/home/page, https://example.org/home/x, ~/.config/wsfeeds") == []
