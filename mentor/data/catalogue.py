"""What the published work lets its users download: where it comes from, where it is placed, how it is unpacked.

Addresses and file names are those of the README and the download script of the published code and of FlashRAG's README;
two entries of Search-R1 hold the same passages and are served by the default hub. Sizes are given where the source states
them; no source publishes checksums (``mentor.data.fetch`` says what is checked instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mentor.errors import NotFoundError

PUBLIC_HUB = "https://huggingface.co"
FLASHRAG_INDEX_HUB = "https://www.modelscope.cn"

# A flat FAISS index: 45 bytes of header, then fp32 vectors. 21,015,324 passages of 768 dimensions.
WIKI18_INDEX_BYTES = 45 + 21_015_324 * 768 * 4
# What an unpacked corpus takes at least; its exact size is published nowhere.
WIKI18_CORPUS_ROOM = 14_000_000_000


class Unpack(StrEnum):
    """How the files of an entry become its one target. Several files are parts, read one after the other."""

    NONE = "none"
    JOIN = "join"
    GZIP = "gzip"
    ZIP = "zip"


@dataclass(frozen=True)
class Source:
    """One file to download.

    Args:
        url: relative to the base URL.
        file: its name in the entry's folder; may hold folders of its own.
        size: bytes, where published.
        sha256: hex digits, where published.
    """

    url: str
    file: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Entry:
    """One thing to fetch.

    Args:
        name: what the command line calls it.
        what: one line.
        folder: where it is placed, relative to the data folder.
        sources: the files.
        licence: as its source states it.
        about: the size in words.
        use: what to do with it then; ``{folder}`` is filled in.
        unpack: how the sources become ``target``; with ``NONE`` they are what is wanted.
        target: the unpacked file's name in the folder.
        target_size: its bytes, where known.
        room: bytes to have free for the unpacked file, at least.
        member: the suffix of the one file that is wanted of a zip archive.
        hub: the default base URL.
    """

    name: str
    what: str
    folder: str
    sources: tuple[Source, ...]
    licence: str
    about: str
    use: str
    unpack: Unpack = Unpack.NONE
    target: str = ""
    target_size: int | None = None
    room: int = 0
    member: str = ""
    hub: str = PUBLIC_HUB


_FLASHRAG = "datasets/RUC-NLPIR/FlashRAG_datasets/resolve/main"
_FLASHRAG_LICENCE = "CC BY-SA 4.0 (FlashRAG's data card; the questions' own licence may differ)"
_MENTOR = "datasets/MENTOR-RL/MENTOR-data/resolve/main/data"
_E5 = "intfloat/e5-base-v2/resolve/main"
_SEARCH_R1_INDEX = "datasets/PeterJinGo/wiki-18-e5-index/resolve/main"
_E5_FILES = (
    "1_Pooling/config.json",
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def _questions(name: str, what: str, *splits: str) -> Entry:
    """A question set of FlashRAG, placed as the published evaluation expects it (``--data_dir``/NAME/SPLIT.jsonl)."""
    return Entry(
        name=name,
        what=what,
        folder=f"eval_dataset/{name}",
        sources=tuple(Source(f"{_FLASHRAG}/{name}/{split}.jsonl", f"{split}.jsonl") for split in splits),
        licence=_FLASHRAG_LICENCE,
        about=f"JSON lines: {', '.join(splits)}",
        use=f"questions: {{folder}}/{splits[-1]}.jsonl",
    )


_UNSTATED = "not stated here: its data card says"


def _converted(
    name: str, what: str, repository: str, licence: str, config: str = "default", split: str = "test"
) -> Entry:
    """A benchmark as the hub converts every public set: one parquet file per split, whatever its authors' own files are."""
    path = f"datasets/{repository}/resolve/refs%2Fconvert%2Fparquet/{config}/{split}/0000.parquet"
    return Entry(
        name=name,
        what=what,
        folder=f"eval_dataset/{name}",
        sources=(Source(path, "test.parquet"),),
        licence=licence,
        about="one parquet file, under 2 MB",
        use=f"mentor eval run --suite {name} (MENTOR_DATA: the folder above eval_dataset)",
    )


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="mentor-train",
        what="the published training set: questions with the teacher's tool names (parquet)",
        folder=".",
        sources=(
            Source(f"{_MENTOR}/train-00000-of-00001.parquet", "mentor_train.parquet"),
            Source(f"{_MENTOR}/test-00000-of-00001.parquet", "mentor_test.parquet"),
        ),
        licence="CC BY 4.0 (the published work's README)",
        about="two parquet files",
        use="train_files: {folder}/mentor_train.parquet (configs/paper)",
    ),
    _questions("bamboogle", "multi-hop questions, FlashRAG's copy", "test"),
    _questions("hotpotqa", "multi-hop questions over Wikipedia, FlashRAG's copy", "train", "dev"),
    _questions("2wikimultihopqa", "multi-hop questions over Wikipedia, FlashRAG's copy", "train", "dev"),
    _questions("musique", "multi-hop questions over Wikipedia, FlashRAG's copy", "train", "dev"),
    _converted("gsm8k", "grade-school word problems, 1,319 of the test split", "openai/gsm8k", "MIT", config="main"),
    _converted("math-500", "500 problems of MATH", "HuggingFaceH4/MATH-500", "MIT (MATH's own)"),
    _converted("svamp", "word problems with varied structure, the test split", "ChilleD/SVAMP", "MIT"),
    _converted(
        "olympiadbench",
        "open-ended English mathematics of OlympiadBench",
        "Hothan/OlympiadBench",
        "Apache-2.0",
        config="OE_TO_maths_en_COMP",
        split="train",
    ),
    _converted("aime24", "AIME 2024, 30 problems", "math-ai/aime24", _UNSTATED),
    _converted("aime25", "AIME 2025, 30 problems", "math-ai/aime25", _UNSTATED),
    _converted("amc23", "AMC 2023, 40 problems", "math-ai/amc23", _UNSTATED),
    _converted("minervamath", "272 undergraduate quantitative problems", "math-ai/minervamath", _UNSTATED),
    _converted("math-forge-hard", "500 harder problems", "prithivMLmods/Math-Forge-Hard", _UNSTATED, split="train"),
    _converted("omni-math-512", "512 olympiad problems", "Heng1999/Omni-MATH-512", _UNSTATED),
    Entry(
        name="wiki18-corpus",
        what="Wikipedia of December 2018 in 21,015,324 passages of 100 words, FlashRAG's wiki18_100w",
        folder="retrieval_corpus",
        sources=(Source(f"{_FLASHRAG}/retrieval-corpus/wiki18_100w.zip", "wiki18_100w.zip"),),
        licence="CC BY-SA 4.0 (FlashRAG's data card; Wikipedia's text)",
        about="5.1 GB as zip, 14 GB unpacked",
        use="corpus_path: {folder}/wiki18_100w.jsonl",
        unpack=Unpack.ZIP,
        target="wiki18_100w.jsonl",
        room=WIKI18_CORPUS_ROOM,
        member=".jsonl",
    ),
    Entry(
        name="wiki18-e5-index",
        what="FlashRAG's prebuilt flat index of wiki18-corpus by e5-base-v2",
        folder="indexes",
        sources=(
            Source(
                "datasets/hhjinjiajie/FlashRAG_Dataset/resolve/master/retrieval_corpus/wiki18_100w_e5_index.zip",
                "wiki18_100w_e5_index.zip",
            ),
        ),
        licence="none stated for the index; FlashRAG's code is MIT, the passages are CC BY-SA",
        about="64.6 GB unpacked, the archive's size beside it until then",
        use="index_path: {folder}/e5_flat_inner.index",
        unpack=Unpack.ZIP,
        target="e5_flat_inner.index",
        target_size=WIKI18_INDEX_BYTES,
        room=WIKI18_INDEX_BYTES,
        member=".index",
        hub=FLASHRAG_INDEX_HUB,
    ),
    Entry(
        name="e5-base-v2",
        what="the encoder of that index, as a sentence-transformers folder",
        folder="models/e5-base-v2",
        sources=tuple(Source(f"{_E5}/{file}", file) for file in _E5_FILES),
        licence="MIT (model card)",
        about="0.4 GB",
        use="retrieval_model_path: {folder}",
    ),
    Entry(
        name="search-r1-corpus",
        what="Search-R1's copy of the passages, in its order; goes with search-r1-e5-index",
        folder="search_r1",
        sources=(Source("datasets/PeterJinGo/wiki-18-corpus/resolve/main/wiki-18.jsonl.gz", "wiki-18.jsonl.gz"),),
        licence="none stated; the passages are Wikipedia's, CC BY-SA",
        about="14 GB unpacked, the archive's size beside it until then",
        use="corpus_path: {folder}/wiki-18.jsonl",
        unpack=Unpack.GZIP,
        target="wiki-18.jsonl",
        room=WIKI18_CORPUS_ROOM,
    ),
    Entry(
        name="search-r1-e5-index",
        what="Search-R1's flat index of search-r1-corpus by e5-base-v2, in two parts",
        folder="search_r1",
        sources=tuple(Source(f"{_SEARCH_R1_INDEX}/{part}", part) for part in ("part_aa", "part_ab")),
        licence="none stated; the passages are Wikipedia's, CC BY-SA",
        about="64.6 GB, twice that while the parts are joined",
        use="index_path: {folder}/e5_Flat.index",
        unpack=Unpack.JOIN,
        target="e5_Flat.index",
        target_size=WIKI18_INDEX_BYTES,
        room=WIKI18_INDEX_BYTES,
    ),
)


def entry_named(name: str) -> Entry:
    """The entry of that name.

    Raises:
        NotFoundError: there is none.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in CATALOGUE)
    raise NotFoundError(f"there is no download {name!r}", field="NAME", allowed=known)
