"""The command `robustmer`: run a notebook, a recipe or a paper; look at corpora; build the book."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PROFILES = ("smoke", "quick", "paper")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="robustmer", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a notebook, one recipe or all recipes of a paper", description="""
        WHAT is a notebook (notebooks/nmer/01_noise_scheduler.ipynb), the key of a recipe (ten hex digits, as
        tables and results print it) or a paper (nmer, cdtp). A paper computes what results/measured lacks; a key
        computes that recipe again and prints its rows.""")
    run.add_argument("what", metavar="WHAT")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="notebook: set a parameter; may be repeated; lists as YAML, e.g. -p corpora '[synthetic]'")
    run.add_argument("-o", "--output", metavar="OUT.ipynb", help="notebook: where to write it, else below runs/")
    run.add_argument("--profile", choices=PROFILES, help="paper: its size (default: quick)")
    run.add_argument("--corpus", action="append", metavar="NAME", help="paper: only this corpus; may be repeated")
    run.add_argument("--engine", metavar="WHERE", help="paper: local (default) or dask://HOST:PORT, a Dask cluster")
    run.add_argument("--jobs", type=int, metavar="N", help="paper: how many trainings at once (default: 1)")
    run.add_argument("--device", metavar="NAME", help="recipe or paper: cpu, cuda, cuda:1, ... (default: cpu)")
    run.set_defaults(do=do_run)

    data = commands.add_parser("data", help="list the corpora, or check files on disk")
    verbs = data.add_subparsers(dest="verb", required=True, metavar="list|check")
    listing = verbs.add_parser("list", help="every corpus, who grants access, and whether it is here")
    listing.set_defaults(do=do_list)
    check = verbs.add_parser("check", help="say what is missing, of the wrong shape or not finite")
    check.add_argument("name", metavar="NAME", help="as `robustmer data list` spells it")
    check.add_argument("path", metavar="PATH", nargs="?", help="the corpus' folder (default: below ROBUSTMER_DATA)")
    check.set_defaults(do=do_check)

    results = commands.add_parser("results", help="what was measured for a paper: means and intervals")
    results.add_argument("paper", metavar="PAPER")
    results.add_argument("--profile", choices=PROFILES, default="paper", help="which ledger (default: paper)")
    results.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE",
                         help="print the single rows that have this value, keys included; may be repeated")
    results.set_defaults(do=do_results)

    bench = commands.add_parser("bench", help="measure steps, epochs and memory of every system on this machine")
    bench.add_argument("--system", action="append", metavar="NAME", help="only this one; may be repeated")
    bench.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")
    bench.add_argument("--threads", type=int, default=2, metavar="N", help="of the CPU (default: 2)")
    bench.add_argument("-o", "--output", default="runs/bench.json", metavar="OUT.json", help="default: runs/bench.json")
    bench.set_defaults(do=do_bench)

    book = commands.add_parser("book", help="execute the notebooks that changed and render the book")
    book.add_argument("--profile", choices=PROFILES, default="quick", help="its size (default: quick)")
    book.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")
    book.add_argument("--jobs", type=int, default=2, metavar="N", help="notebooks at once (default: 2)")
    book.add_argument("--force", action="append", default=[], metavar="NAME",
                      help="run this page, this part, or all, though nothing changed; may be repeated")
    book.set_defaults(do=do_book)
    return top


def do_run(args: argparse.Namespace) -> int:
    what = args.what
    if what.endswith((".ipynb", ".py")) or Path(what).is_file():
        refuse(args, "a notebook", "profile", "corpus", "jobs", "device", "engine",
               hint="give it as a parameter, e.g. -p profile smoke")
        names = [name for name, _ in args.parameter]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"-p {twice[0]} is given more than once")
        from robustmer import book

        return book.run(what, dict(args.parameter), args.output)
    if re.fullmatch(r"[0-9a-f]{10}", what):
        refuse(args, "a recipe", "parameter", "output", "profile", "corpus", "jobs", "engine",
               hint="the key says it all")
        from robustmer.grid import cross_validate
        from robustmer.papers import find

        paper, profile, recipe = find(what)
        rows = cross_validate([recipe], paper, profile, jobs=1, device=args.device or "cpu", progress=True,
                              again=True, own=True)
        print(rows.to_string(index=False))
        print(compare_with_stored(rows, paper, profile))
        return 0
    from robustmer.papers import PAPERS

    if what not in PAPERS:
        raise LookupError(f"cannot run {what!r}: give a notebook (.ipynb or .py), the key of a recipe "
                          f"(ten hex digits) or a paper ({', '.join(PAPERS)})")
    refuse(args, "a paper", "parameter", "output", hint="parameters belong to notebooks")
    from robustmer.corpora import find
    from robustmer.grid import cross_validate

    for name in args.corpus or []:
        find(name)
    profile = args.profile or "quick"
    recipes = PAPERS[what].recipes(profile, args.corpus or here(PAPERS[what].PROFILES[profile].seeds))
    if args.engine and args.jobs:
        raise ValueError("--jobs does not apply to --engine: a cluster runs as many trainings as it has workers")
    jobs = 1 if args.jobs is None else positive(args.jobs)
    rows = cross_validate(recipes, what, profile, jobs=jobs, device=args.device or "cpu", progress=True, own=True,
                          engine=args.engine or "local")
    from robustmer.results import ledger

    print(f"{what}, profile {profile}: {len(recipes)} recipes, {len(rows)} rows in {ledger(what, profile)}")
    return 0


def compare_with_stored(rows: pd.DataFrame, paper: str, profile: str) -> str:
    """One line: whether the ledger holds this key, and how far its values are from those just computed."""
    from robustmer.results import ledger, read

    path, same = ledger(paper, profile), ["key", "noise", "snr_db", "condition", "metric", "fingerprint"]
    both = rows[[*same, "value"]].merge(read(path)[[*same, "value"]], on=same)
    if both.empty:
        return f"{path} holds no row of this key on this data"
    off = (both["value_x"] - both["value_y"]).abs().max()
    how = "all equal" if off == 0 else f"they differ by up to {off:g}"
    return f"{len(both)} of {len(rows)} rows are in {path}; {how}"


def here(names: Iterable[str]) -> list[str]:
    """Those of these corpora that are on this machine; the others are named, in a line each."""
    from robustmer.corpora import CorpusNotFound, load

    found = []
    for name in names:
        try:
            load(name)
            found.append(name)
        except CorpusNotFound as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def refuse(args: argparse.Namespace, kind: str, *options: str, hint: str) -> None:
    """An option that would be ignored is an error."""
    for option in options:
        if getattr(args, option):
            flag = {"parameter": "-p", "output": "-o"}.get(option, f"--{option}")
            raise ValueError(f"{flag} does not apply to {kind} ({args.what}); {hint}")


def positive(count: int, option: str = "jobs") -> int:
    if count < 1:
        raise ValueError(f"--{option} {count}: give 1 or more")
    return count


def do_list(args: argparse.Namespace) -> int:
    from robustmer.corpora import CORPORA, data_folder, is_here

    for name, module in CORPORA.items():
        about = module.ABOUT
        here = "built in" if not about.folder else "here" if is_here(name) else "not here"
        print(f"{name} ({here}): {about.title}\n    access   {about.access}\n    licence  {about.licence}")
    print(f"\nlooked in {data_folder()} (set ROBUSTMER_DATA to look elsewhere); "
          "`robustmer data check NAME` says whether what is here can be used")
    return 0


def do_check(args: argparse.Namespace) -> int:
    from robustmer.corpora import check
    from robustmer.corpora.corpus import data_folder

    problems = check(args.name, Path(args.path).expanduser() if args.path else None)
    for problem in problems:
        print(problem)
    found = f"{len(problems)} problem{'s' * (len(problems) > 1)}" if problems else "fine"
    print(f"{args.name} in {args.path or data_folder()}: {found}")
    return 1 if problems else 0


def do_results(args: argparse.Namespace) -> int:
    from robustmer.papers import PAPERS
    from robustmer.results import ledger, read
    from robustmer.statistics import summarise

    if args.paper not in PAPERS:
        raise LookupError(f"no paper {args.paper!r}; there are {', '.join(PAPERS)}")
    path = ledger(args.paper, args.profile)
    rows = read(path)
    if rows.empty:
        print(f"{path} holds nothing yet; `robustmer run {args.paper} --profile {args.profile}` computes it")
        return 0
    if args.where:
        for text in args.where:
            column, _, value = text.partition("=")
            if "=" not in text:
                raise ValueError(f"--where {text}: give COLUMN=VALUE, e.g. system=NMER")
            if column not in rows:
                raise ValueError(f"--where {text}: no column {column!r}; there are {', '.join(rows.columns)}")
            if value not in (there := set(rows[column].astype(str))):
                known = ", ".join(map(repr, sorted(there)[:30]))
                raise ValueError(f"--where {text}: no such row is left; {column} has {known}")
            rows = rows[rows[column].astype(str) == value]
        print(rows[["dataset", "system", "train", "noise", "snr_db", "condition", "metric", "value", "fold", "seed",
                    "key", "commit"]].to_string(index=False))
        return 0
    by = ["dataset", "system", "train", "noise", "snr_db", "condition", "metric"]
    print(summarise(rows, by).round(3).to_string(index=False, na_rep="-"))
    print(f"\n{len(rows)} rows from {rows['key'].nunique()} recipes in {path}; low and high: 95% interval of the mean")
    return 0


def do_bench(args: argparse.Namespace) -> int:
    from robustmer import bench

    systems = args.system or [*bench.SYSTEMS_OF_NMER, *bench.SYSTEMS_OF_CDTP]
    bench.main(systems, args.device, positive(args.threads, "threads"), Path(args.output))
    return 0


def do_book(args: argparse.Namespace) -> int:
    jobs = positive(args.jobs)
    from robustmer import book

    return book.build(args.profile, args.device, jobs, args.force)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.do(args)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, LookupError, ArithmeticError, OSError, ImportError) as error:  # CorpusError is a ValueError
        message = error.args[0] if type(error) is KeyError and error.args else error
        print(f"robustmer: {' '.join(str(message).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nrobustmer: stopped; finished work is kept, and the same command goes on from there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
