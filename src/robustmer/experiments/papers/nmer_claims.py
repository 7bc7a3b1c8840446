"""The claims of NMER's text about its results (section 3.6) as contrasts of places, in its tables and in ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from robustmer.corpora import Corpus, Request
from robustmer.experiments.contrasts import Claim, Contrast, difference
from robustmer.experiments.papers.nmer import BAR, NOISES, PARTS, UNI_MODAL, Column, Row, tables
from robustmer.experiments.papers.profiles import claims_of
from robustmer.experiments.tables import Table

Tables = Mapping[str, Table]
OTHERS = (Row("MEN", "clean"), Row("MCTN"), Row("MMIN"), Row("IF-MMIN"))
MET_NOISE = (Row("MEN"), BAR)
"""MEN and logistic regression that learnt the same noise, which the paper does not have."""
TRAINED = {"clean": "clean", "noisy": "with the noise"}


def planned(corpus: str | Corpus | Request = "ravdess_av") -> list[Contrast]:
    """NMER minus each of the others in UA, mean over noises, levels and incomplete conditions."""
    t = {number: tables("paper", corpus)[number].where(metric="UA", condition="avg") for number in ("2", "ablation")}
    of = dict.fromkeys(OTHERS, "2") | dict.fromkeys(PARTS, "ablation") | dict.fromkeys(MET_NOISE, "2")
    return [difference(t[number], Row("NMER"), other) for other, number in of.items()]


def ahead(
    t: Tables, more: Row, less: Row, level: float = -10.0, noise: str = "gaussian", metric: str = "WA", of: str = "3"
) -> Contrast:
    """One system minus another, mean over the incomplete conditions."""
    what = f"{more} − {less}, {noise} {words(level)} dB" + (f", {metric}" if metric != "WA" else "")
    sides = ((t[of].cells[row, Column(metric, noise, level)],) for row in (more, less))
    return Contrast(what, *sides, rows=(more, less))


def drop(
    t: Tables, row: Row, condition: str = "avg", start: float = -10.0, end: float = -40.0, of: str = "3"
) -> Contrast:
    """How much a system loses from one level of Gaussian noise to another."""
    places = ((t[of].cells[row, Column("WA", "gaussian", level, condition)],) for level in (start, end))
    where = {"avg": "", "none": ", all noisy"}.get(condition, f" {{{condition}}}")
    return Contrast(f"{row}{where}, {words(start)} − {words(end)} dB", *places)


def alone(t: Tables, letter: str, trained: str) -> Contrast:
    """What a uni-modal classifier loses from clean data to -10 dB, trained on clean data or on the noise."""
    clean = t["4"].cells[Row(UNI_MODAL, "clean"), Column("WA", "", None, letter)]
    noisy = t["4"].cells[Row(UNI_MODAL, trained), Column("WA", "gaussian", -10.0, letter)]
    return Contrast(f"{letter} alone, clean − (−10 dB), trained {TRAINED[trained]}", (clean,), (noisy,))


def loses_more(what: str, first: Contrast, second: Contrast) -> Contrast:
    """The one loss minus the other."""
    return Contrast(what, first.more + second.less, first.less + second.more)


def words(level: float) -> str:
    return f"{level:g}".replace("-", "−")


def claims(corpus: str | Corpus | Request = "ravdess_av") -> list[Claim]:
    """The claims in the order of the text, with the numbers as they were transcribed."""
    t, value = tables("paper", corpus), claims_of("nmer").set_index("claim")["value"]
    nmer, if_mmin, mmin, lost = Row("NMER"), Row("IF-MMIN"), Row("MMIN"), "from -10 to -40 dB"
    wa = {row: f"IEMOCAP Gaussian -10 dB WA, {row.system}" for row in (nmer, *OTHERS)}
    levels = [f"IF-MMIN on IEMOCAP, Gaussian, {level} dB" for level in (-10, -40)]
    parts = {row: f"ablation {row.system}, IEMOCAP Gaussian -10 dB" for row in PARTS}
    complete = "NMER, IEMOCAP Gaussian -10 dB"
    gap = [f"gap of MEN to the incomplete-modality baselines at -40 dB, {end} end" for end in ("lower", "upper")]
    two = [f"WA drop with two clean modalities {lost}, {end} end" for end in ("lower", "upper")]
    falls = {c: drop(t, nmer, c) for c in ("a", "v", "l", "a,v", "a,l", "v,l")}
    unimodal = {(letter, trained): alone(t, letter, trained) for letter in "avl" for trained in TRAINED}

    def everywhere(less: Row) -> Contrast:
        return difference(t["2"].where(metric="WA"), nmer, less, f"NMER − {less}, mean over noises and levels")

    def fewer(one: str, other: str) -> Contrast:
        return loses_more(f"NMER's drop {{{one}}} − its drop {{{other}}}", falls[one], falls[other])

    def claim(
        where: str, says: str, contrasts: Iterable[Contrast], *numbers: str, points: Iterable[float] = ()
    ) -> Claim:
        """A claim whose numbers are points, unless they follow from several numbers."""
        return Claim(where, says, tuple(contrasts), numbers, tuple(points) or tuple(value[n] for n in numbers))

    return [
        claim("3.6.1 (1)", "NMER is ahead of the four others at -10 dB", (ahead(t, nmer, other) for other in OTHERS),
              *wa.values(), points=(100 * (value[wa[nmer]] - value[wa[other]]) for other in OTHERS)),
        claim("3.6.1 (1)", "NMER outperforms most baselines across noises and levels", map(everywhere, OTHERS)),
        claim("ours", "and against MEN and logistic regression that learnt the same noise, which the paper has not",
              map(everywhere, MET_NOISE)),
        claim("3.6.1 (1)", "IF-MMIN does well at -10 and -20 dB (read: ahead of the other baselines)",
              (ahead(t, if_mmin, other, level) for level in (-10.0, -20.0) for other in OTHERS[:3])),
        claim("3.6.1 (1)", "but it is behind NMER at -30 and -40 dB",
              (ahead(t, nmer, if_mmin, level, noise, metric) for noise in NOISES for level in (-30.0, -40.0)
               for metric in ("WA", "UA"))),
        claim("3.6.1 (2)", "at -40 dB MEN is 6 to 10 points below the systems that learn with noise",
              (ahead(t, row, OTHERS[0], -40.0, noise) for noise in NOISES for row in OTHERS[1:]), *gap),
        claim("3.6.1 (3)", "with only a, or only v, clean NMER loses about 9 points from -10 to -40 dB",
              (falls["a"], falls["v"]), f"WA drop of {{a}} and {{v}} {lost}"),
        claim("3.6.1 (3)", "with two modalities clean it loses 2 to 5 points",
              (falls["a,v"], falls["a,l"], falls["v,l"]), *two),
        claim("3.6.1 (3)", "which is less than with only a, or only v, clean",
              (fewer(*pair) for pair in (("a", "a,v"), ("v", "a,v"), ("a", "a,l"), ("v", "v,l")))),
        claim("3.6.1 (3)", "with only l clean it loses about 4 points", (falls["l"],), f"WA drop of {{l}} {lost}"),
        claim("3.6.1 (3)", "so l is what holds it up (read: it loses less with only l clean than with only a, or v)",
              (fewer("a", "l"), fewer("v", "l"))),
        claim("3.6.1 (3)", "with two clean of which l is one it loses about 2 points",
              (falls["a,l"], falls["v,l"]), "WA drop with two clean modalities that include l"),
        claim("3.6.2 (1)", "all models get worse with more noise; IF-MMIN falls from -10 to -40 dB",
              (drop(t, row) for row in (if_mmin, *OTHERS[:3], nmer)), *levels,
              points=[100 * (value[levels[0]] - value[levels[1]])]),
        claim("3.6.2 (3)", "v alone loses about 15 points at -10 dB",
              (unimodal["v", trained] for trained in TRAINED), "unimodal v loses at -10 dB"),
        claim("3.6.2 (3)", "a alone and l alone lose about 10 points at -10 dB",
              (unimodal[letter, trained] for letter in "al" for trained in TRAINED), "unimodal a and l lose at -10 dB"),
        claim("3.6.2 (3)", "so v loses more than a and than l",
              (loses_more(f"v's loss − {other}'s, trained {TRAINED[trained]}", unimodal["v", trained],
                          unimodal[other, trained]) for other in "al" for trained in TRAINED)),
        claim("3.6.3 (1)", "with all modalities noisy MMIN falls by about 4 points from -10 to -20 dB",
              (drop(t, mmin, "none", -10.0, -20.0, "5"),), "MMIN on IEMOCAP, all modalities noisy, -10 to -20 dB"),
        claim("3.6.3 (1)", "and \"further\" by about 13 points at -40 dB", (drop(t, mmin, "none", -20.0, -40.0, "5"),),
              "MMIN on IEMOCAP, all modalities noisy, further drop at -40 dB"),
        claim("3.6.4", "the VAE and the invariance loss both help",
              (ahead(t, nmer, part, of="ablation") for part in parts), complete, *parts.values(),
              points=(100 * (value[complete] - value[number]) for number in parts.values())),
    ]  # fmt: skip
