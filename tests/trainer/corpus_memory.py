"""Memory that corpora take, in an interpreter that has done nothing else: a heap that other tests have used gives back what it likes.

    python corpus_memory.py TOKENIZER CACHE WARM_UP.txt TEXT…

prints a list, for each text but the first: by how many bytes the peak grew while it was prepared, and the allocated memory while it was read;
and the sizes of the files that its rows are read from.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from process_growth import growth

# glibc returns freed memory at once, Arrow allocates through it, and one thread tokenises: what stays is what is held
FRUGAL = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "TOKENIZERS_PARALLELISM": "false",
}


def corpus_memory(tokenizer, folder, warm_up, texts):
    """``[(bytes of the peak while preparing, allocated bytes after reading, sizes of its files), …]``, measured in a fresh interpreter."""
    tokenizer.save_pretrained(folder / "tokenizer")
    words = [sys.executable, __file__, folder / "tokenizer", folder / "cache", warm_up, *texts]
    done = subprocess.run(
        list(map(str, words)), env={**os.environ, **FRUGAL}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main(tokenizer, cache, *texts):
    from transformers import AutoTokenizer

    from evenhand.trainer.corpus import CorpusSettings, prepare_corpus
    from evenhand.trainer.corpus_sources import CorpusSource

    tokenizer = AutoTokenizer.from_pretrained(tokenizer)

    def prepare(text):
        sources = [CorpusSource(path=text)]
        return prepare_corpus(sources, tokenizer, CorpusSettings(), Path(cache) / Path(text).stem, workers=1)

    def read(text):
        corpus = prepare(text)
        assert sum(len(ids) for batch in corpus.train.iter(1000) for ids in batch["input_ids"]) > 0
        return corpus

    read(texts[0])  # loads what is imported late
    found = []
    for text in texts[1:]:
        grown = growth(partial(prepare, text))[0], growth(partial(read, text))[1]
        found.append((*grown, [os.path.getsize(entry["filename"]) for entry in prepare(text).train.cache_files]))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
