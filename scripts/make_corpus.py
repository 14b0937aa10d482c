#!/usr/bin/python3
"""make_corpus.py OUT_DIR: seeds for the fuzz targets, OUT_DIR/TARGET/NAME, made from tests/vectors and fuzz/regressions.

A seed of a codec is the number of the structure in its target's line of fuzz/targets.def, one byte, then the vector's
bytes. Seeds of the overlay document are tests/vectors/overlay; those of the state machines (node_*), of STUN (ice_*) and of DTLS (io_*) are the files of fuzz/seeds/TARGET as they are.
"""
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_BYTES = 8192  # longer vectors show limits, which slow a fuzzer down


def read_targets():
    """{"header": ["header"], ...}; a kind with a data model is "stored_data array"."""
    targets = {}
    for line in (ROOT / "fuzz/targets.def").read_text(encoding="utf-8").splitlines():
        match = re.match(r"TARGET\((\w+), (.*)\)$", line)
        if match:
            targets[match.group(1)] = re.findall(r'"([^"]+)"', match.group(2))
    return targets


def read_vectors(path):
    """Yields (kind, bytes) of a file in the format of tests/vectors/README.md."""
    pdu, model, data = None, None, bytearray()
    for line in [*path.read_text(encoding="utf-8").splitlines(), "vector end"]:
        word, _, rest = line.lstrip(" ").partition(" ")
        if word == "vector":
            if pdu is not None:
                yield f"{pdu} {model}" if model else pdu, bytes(data)
            pdu, model, data = None, None, bytearray()
        elif word == "pdu":
            pdu = rest
        elif word == "given" and rest.startswith("model "):
            model = rest.split(" ", 1)[1]
        elif word == "hex":
            data += bytes.fromhex(rest.split("#")[0])
        elif word == "fill":
            count, byte = rest.split("#")[0].split()
            data += bytes([int(byte, 16)]) * int(count)
        elif word == "text":
            data += rest.encode()


def write_seed(directory, data):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    targets = read_targets()
    home = {kind: (name, number) for name, kinds in targets.items() for number, kind in enumerate(kinds)}
    for path in sorted((ROOT / "tests/vectors").glob("*.txt")):
        for kind, data in read_vectors(path):
            if kind not in home:
                sys.exit(f"{path.name}: no target of fuzz/targets.def tries {kind}")
            name, number = home[kind]
            if len(data) <= MAX_BYTES:
                write_seed(out / name, bytes([number]) + data)
    for path in sorted((ROOT / "tests/vectors/overlay").glob("*.xml")):
        write_seed(out / "document_overlay", path.read_bytes())
    for folder in ("regressions", "seeds"):
        for path in sorted((ROOT / "fuzz" / folder).glob("*/*")):
            write_seed(out / path.parent.name, path.read_bytes())


if __name__ == "__main__":
    main()
