"""Checks a file of `licenser audit export --evidence` with nothing but the file and a key that you trust.

    python3 verify_evidence.py evidence.jsonl KEY

KEY is what GET /audit/checkpoint-key said when you asked it first. It needs the package cryptography.
docs/audit-trail.md describes what is checked. It prints what is proven, or ends with what is wrong.
"""
import base64, hashlib, json, sys, urllib.parse
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()


def want(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)


def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(text):
    data = base64.b64decode(text, validate=True)
    want(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data


def commit(nonce, name, value): return sha256(canonical([nonce, name, value])).hex()


def close(entry):
    """Puts commitments in the place of what the entry discloses, as its hash has it."""
    for name, nonces in entry.pop("nonces", {}).items():
        for side, nonce in nonces.items():
            value = entry["changes"][name][side]
            if "commitment" not in value:  # a long value is not kept, and its nonce is
                entry["changes"][name][side] = {"commitment": commit(nonce, name, value)}
    want(("reason" in entry) == ("reasonnonce" in entry), "a reason without a commitment")
    if "reason" in entry:
        want("reasoncommitment" not in entry, "a reason and its commitment")
        value = {"S": entry.pop("reason")}
        entry["reasoncommitment"] = commit(entry.pop("reasonnonce"), "reason", value)


def verify(file, key):
    want(file.endswith(b"\n"), "the file is cut off")
    lines = file[:-1].split(b"\n")
    head, *entries = [json.loads(line) for line in lines]
    want([canonical(value) for value in (head, *entries)] == lines, "a line in another spelling")
    want(sorted(head) == "bucketpath checkpoint evidence key leaf path".split(), "another form")
    want(canonical(head["evidence"]) == b"1", "another version of the form")
    name, key_id, data = key.split("+", 2)
    want(head["key"] == f"{name}+{key_id}", "the file is of another key")

    text, signature = head["checkpoint"].split("\n\n")
    signer, signed = signature.removeprefix("— ").removesuffix("\n").split(" ")
    want(f"{text}\n\n— {signer} {signed}\n" == head["checkpoint"] and signer == name, "the form of the signature")
    want(decode(signed)[:4].hex() == key_id, "the signature is of another key")
    Ed25519PublicKey.from_public_bytes(decode(data)[1:]).verify(decode(signed)[4:], f"{text}\n".encode())
    origin, tree, root, number, time, previous = text.split("\n")
    want(origin == name and tree == "tree buckets-1024", "another kind of checkpoint")

    escaped, sequence, entry_hash = head["leaf"].removesuffix("\n").split(" ")
    license_id = urllib.parse.unquote(escaped)
    node = sha256(b"\0", head["leaf"].encode())
    for step in head["path"]:
        side, text = step.split(" ")
        want(side in ("left", "right"), "a step without a side")
        node = sha256(b"\1", decode(text), node) if side == "left" else sha256(b"\1", node, decode(text))
    node, bucket = sha256(b"\0", node), int.from_bytes(sha256(license_id.encode())[:2], "big") >> 6
    want(len(head["bucketpath"]) == 10, "not ten hashes")
    for height, text in enumerate(head["bucketpath"]):
        node = sha256(b"\1", decode(text), node) if bucket >> height & 1 else sha256(b"\1", node, decode(text))
    want(node == decode(root), "the leaf is not in the tree that was signed")

    before = ""
    for n, entry in enumerate(entries, 1):
        claimed = entry.pop("hash")
        close(entry)
        follows = (entry["licenseid"], entry["sequence"], entry["previous"]) == (license_id, n, before)
        want(follows, f"entry {n} does not follow")
        before = sha256(canonical(entry)).hex()
        want(before == claimed, f"entry {n} was changed")
        want(n != int(sequence) or before == entry_hash, f"entry {n} is not the one that was signed")
    want(1 <= int(sequence) <= len(entries), "the chain is shorter than the one that was signed")
    return f"{number}, {time}, signed by {name}, proves {license_id} up to entry {sequence} of {len(entries)}"


if __name__ == "__main__":
    print(verify(open(sys.argv[1], "rb").read(), sys.argv[2].strip()))
