"""How two readings of one document differ: words lost, words made up, order, rows of tables that aren't there.

Words are runs of letters and digits after compatibility normalisation, without case; a character of a script
that puts no spaces between words is a word.
"""
import bisect
import re
import unicodedata
from collections import Counter

UNSPACED = ("\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
            "\U00020000-\U0003ffff")
WORD = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def words(text):
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).casefold()
    # Points and accents that stand apart from their letters are no words' ends.
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return WORD.findall(text)


def joined_at_line_ends(text):
    return re.sub(r"(?<=[^\W\d_])[-\u2010\u00ad]\n\s*(?=[^\W\d_])", "", text)


def recall(ours, peers):
    """Of the words that every peer reads as often, the part that we read: (share, some that are missing)."""
    counts = [Counter(p) for p in peers]
    agreed = Counter({w: min(c[w] for c in counts) for w in counts[0]})
    mine = Counter(ours)
    missing = Counter({w: n - mine[w] for w, n in agreed.items() if n > mine[w]})
    total = sum(agreed.values())
    # A word in two pieces on one side only is the same text.
    if missing:
        glued = "".join(ours)
        whole = {w for w in missing if len(w) > 3 and not mine[w] and w in glued}
        missing = Counter({w: n for w, n in missing.items() if w not in whole})
    return (1 - sum(missing.values()) / total if total else 1.0), [w for w, _ in missing.most_common(12)]


def precision(ours, peers):
    """Of the words that we read, the part that any peer reads too. Labels repeat in rows, so counts say nothing."""
    known = set().union(*map(set, peers))
    strange = [w for w in ours if w not in known]
    if strange:
        glued = ["".join(p) for p in peers]
        strange = [w for w in strange if len(w) < 4 or not any(w in g for g in glued)]
    return (1 - len(strange) / len(ours) if ours else 1.0), list(dict.fromkeys(strange))[:12]


def order(ours, peer):
    """Of the words that stand once in each, the longest run that keeps its order."""
    once_peer = {w for w, n in Counter(peer).items() if n == 1}
    once_ours = {w for w, n in Counter(ours).items() if n == 1} & once_peer
    if len(once_ours) < 5:
        return 1.0
    place = {w: i for i, w in enumerate(peer) if w in once_ours}
    tails = []
    for w in ours:
        if w in once_ours:
            at = bisect.bisect_left(tails, place[w])
            tails[at:at + 1] = [place[w]]
    return len(tails) / len(once_ours)


def false_rows(rows, layout):
    """Rows of two cells or more that stand on no lines of a page in two columns. `layout` is the page as a
    picture of characters (pdftotext -layout)."""
    lines = [line for line in layout.splitlines() if line.strip()]
    of_line = [Counter(words(line)) for line in lines]
    wide = [bool(re.search(r"\S {2,}\S", line.strip())) for line in lines]
    wrong = []
    for row in rows:
        wanted = set(words(row))
        if len(wanted) < 3:
            continue
        best = False
        for at, line in enumerate(of_line):
            if best or not (wanted & set(line)):
                continue
            seen, in_columns = set(), False
            for near in range(at, min(at + 8, len(lines))):
                seen |= set(of_line[near])
                in_columns = in_columns or wide[near]
            best = in_columns and len(wanted & seen) >= 0.6 * len(wanted)
        if not best:
            wrong.append(row)
    return wrong
