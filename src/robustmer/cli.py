"""The command `robustmer`: run notebooks, compute and show results, check corpora, build the book."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from robustmer.book import PROFILES, end_children, known, nearest, printable


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with the nearest known word."""

    def error(self, message: str) -> None:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        near = nearest(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        self.exit(2, f"robustmer: {printable(message)}{near}; `{self.prog} --help` explains\n")


def parser() -> argparse.ArgumentParser:
    import robustmer

    top = Parser(prog="robustmer", description=__doc__)
    top.add_argument("--version", action="version", version=f"robustmer {robustmer.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(to, name: str, do: Callable, about: str, example: str, **options: object) -> Parser:
        sub = to.add_parser(name, help=about, description=f"To {about}.", epilog=f"Example: {example}", **options)
        sub.set_defaults(do=do)
        return sub

    example = "robustmer run nmer/04_table_2 -p profile smoke"
    run = command(commands, "run", do_run, "execute a notebook with other parameters", example, add_help=False)
    run.add_argument("notebook", nargs="?", help="a page (nmer/04_table_2), or the path of a .py or .ipynb")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="set a parameter; may be repeated; a list is written as YAML, '[1, 2]'")  # fmt: skip
    run.add_argument("-o", "--output", metavar="OUT.ipynb", help="where to write the result (default: below runs/)")
    run.add_argument("-h", "--help", action="store_true", help="with a notebook: its parameters, with an example")
    run.set_defaults(parser=run)

    rerun = command(commands, "rerun", do_rerun, "train one recipe again and compare its scores with the stored ones",
                    "robustmer rerun c574b2d7d9")  # fmt: skip
    rerun.add_argument("key", metavar="KEY", help="ten hex digits, as tables and `robustmer results` print them")
    rerun.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")

    export = command(commands, "export", do_export, "train one recipe again and write the system, its predictions for "
                     "every test sample and its confusions to a folder", "robustmer export c574b2d7d9 -o runs/export")  # fmt: skip
    export.add_argument("key", metavar="KEY", help="ten hex digits, as tables and `robustmer results` print them")
    export.add_argument("-o", "--output", metavar="FOLDER", help="a new folder (default: runs/export/KEY)")
    export.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")

    compute = command(commands, "compute", do_compute, "compute the trainings and scores that a paper still lacks",
                      "robustmer compute nmer --profile quick --corpus synthetic --jobs 2")  # fmt: skip
    compute.add_argument("paper", metavar="PAPER", help="nmer, cdtp, ...")
    compute.add_argument("--profile", choices=PROFILES, default="quick", help="its size (default: quick)")
    compute.add_argument("--corpus", action="append", metavar="NAME", help="only this corpus; may be repeated")
    compute.add_argument("--engine", default="local", metavar="WHERE", help="local (default) or dask://HOST:PORT")
    compute.add_argument("--jobs", type=positive, default=1, metavar="N", help="trainings at once (default: 1)")
    compute.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")

    results = command(commands, "results", do_results, "show what was measured for a paper; `results publish PAPER` "
                      "moves finished trainings of profile paper to results/measured",
                      "robustmer results nmer --where system=NMER --where snr_db=-40")  # fmt: skip
    results.add_argument("words", nargs="*", metavar="[publish] PAPER", help="a paper, or the folder of a ledger")
    results.add_argument("--profile", choices=PROFILES, default="paper", help="its size (default: paper)")
    results.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE",
                         help="print the single scores that have this value; may be repeated")  # fmt: skip

    weights = command(commands, "weights", do_weights, "count the stored weights of upstream systems",
                      "robustmer weights --unneeded")  # fmt: skip
    weights.add_argument("--unneeded", action="store_true", help="delete those that no recipe of the papers names")

    data = commands.add_parser("data", help="list the corpora, or check files on disk")
    verbs = data.add_subparsers(required=True, metavar="list|check")
    command(verbs, "list", do_list, "list every corpus, who grants access, and whether it is on this machine",
            "robustmer data list")  # fmt: skip
    check = command(verbs, "check", do_check, "report what is missing, of the wrong shape or not finite",
                    "robustmer data check ravdess_av ~/corpora")  # fmt: skip
    check.add_argument("name", metavar="NAME", help="as `robustmer data list` spells it")
    check.add_argument("path", metavar="PATH", nargs="?", help="the folder of the corpus (default: in ROBUSTMER_DATA)")

    book = command(commands, "book", do_book, "execute the notebooks that changed and render the book",
                   "robustmer book --force nmer/04_table_2")  # fmt: skip
    book.add_argument("--profile", choices=PROFILES, default="quick", help="its size (default: quick)")
    book.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")
    book.add_argument("--jobs", type=positive, default=2, metavar="N", help="notebooks at once (default: 2)")
    book.add_argument("--force", action="append", default=[], metavar="NAME",
                      help="execute this page, this part (nmer) or all, changed or not; may be repeated")  # fmt: skip
    return top


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def do_run(args: argparse.Namespace) -> int:
    if args.notebook is None:
        if args.help:
            args.parser.print_help()
            return 0
        raise ValueError("give a notebook, such as nmer/04_table_2; `robustmer run --help` explains")
    from robustmer.book import build
    from robustmer.book.pages import notebook_file, read
    from robustmer.book.parameters import describe, parameters_of

    if args.help:
        print(printable(describe(parameters_of(read(notebook_file(args.notebook)), args.notebook))))
        return 0
    names = [name for name, _ in args.parameter]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"-p {twice} is given more than once; give each parameter once")
    return build.run(args.notebook, dict(args.parameter), args.output)


def do_list(args: argparse.Namespace) -> int:
    from robustmer.corpora import CORPORA, data_folder, is_available

    for name, corpus in CORPORA.items():
        about = corpus.about
        where = (
            "built in" if about.folder is None else "on this machine" if is_available(name) else "not on this machine"
        )
        print(f"{name} ({where}): {about.title}\n    access   {about.access}\n    licence  {about.licence}")
    print(f"\nfolder of the corpora: {data_folder()} (ROBUSTMER_DATA names another); "
          "`robustmer data check NAME` reports whether a corpus can be used")  # fmt: skip
    return 0


def do_check(args: argparse.Namespace) -> int:
    from robustmer.corpora import CORPORA, check, data_folder
    from robustmer.experiments import path_of

    problems = check(known(args.name, CORPORA, "corpus"), path_of(args.path) if args.path else None)
    for problem in problems:
        print(printable(problem))
    verdict = f"{len(problems)} problem{'s' * (len(problems) > 1)}" if problems else "no problems"
    print(f"{args.name} in {printable(args.path or data_folder())}: {verdict}")
    return 1 if problems else 0


def do_compute(args: argparse.Namespace) -> int:
    from robustmer.corpora import CORPORA, is_available
    from robustmer.experiments.grid import compute
    from robustmer.experiments.papers import PAPERS, ledger_of

    paper = PAPERS[known(args.paper, PAPERS, "paper")]
    corpora = [known(name, CORPORA, "corpus") for name in args.corpus or paper.profiles[args.profile].seeds]
    missing = [] if args.corpus else [name for name in corpora if not is_available(name)]
    if missing:
        print(f"left out, because they are not on this machine: {', '.join(missing)}", file=sys.stderr)
    jobs = paper.recipes(args.profile, [name for name in corpora if name not in missing])
    ledger = ledger_of(args.paper, args.profile)
    summary = compute(jobs, ledger, args.jobs, args.device, args.engine)
    print(f"{args.paper}, profile {args.profile}: {len(jobs)} trainings wanted, {summary}; results in {ledger.folder}")
    return 1 if summary.failed else 0


def do_rerun(args: argparse.Namespace) -> int:
    from robustmer.book.results import rerun

    for line in rerun(args.key, args.device):
        print(printable(line))
    return 0


def do_export(args: argparse.Namespace) -> int:
    from robustmer.book.results import export
    from robustmer.experiments import path_of, runs

    for line in export(args.key, path_of(args.output) if args.output else runs() / "export" / args.key, args.device):
        print(printable(line))
    return 0


def do_results(args: argparse.Namespace) -> int:
    from robustmer.book import results
    from robustmer.experiments import path_of
    from robustmer.experiments.ledger import Ledger
    from robustmer.experiments.papers import PAPERS, ledger_of

    verb, names = ("publish", args.words[1:]) if args.words[:1] == ["publish"] else ("show", args.words)
    if len(names) > 1 or verb == "publish" and not names or args.where and not names:
        raise ValueError("give one paper, as in `robustmer results nmer` or `robustmer results publish nmer`")
    for name in names or PAPERS:
        folder = path_of(name)
        own = verb == "show" and name not in PAPERS and folder.is_dir()
        ledger = Ledger(folder) if own else ledger_of(known(name, PAPERS, "paper"), args.profile)
        if verb == "publish":
            print(printable(results.publish(name)))
        elif names and ledger.trainings():
            frame = results.scores_of_folder(ledger) if own else results.scores(name, ledger, args.profile)
            print(printable(results.describe(frame, args.where)))
        else:
            print(f"{name}: {len(ledger.trainings())} trainings in {printable(ledger.published or ledger.folder)}")
    return 0


def do_weights(args: argparse.Namespace) -> int:
    from robustmer.book.results import weights

    print(printable("\n".join(weights(args.unneeded))))
    return 0


def do_book(args: argparse.Namespace) -> int:
    from robustmer.book import build
    from robustmer.experiments import check_device, data, project

    check_device(args.device)
    return build.build(args.profile, args.device, args.jobs, args.force, project(), data())


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """A block in which SIGTERM acts like Ctrl-C: workers and kernels end, then KeyboardInterrupt is raised."""

    def stop(*_: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        end_children()
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def data_of_the_project() -> Iterator[None]:
    """A block in which corpora are read from `data` in the project, also from a subfolder of it, unless ROBUSTMER_DATA
    names another folder."""
    from robustmer.experiments import data

    given = os.environ.get("ROBUSTMER_DATA")
    os.environ["ROBUSTMER_DATA"] = given or str(data())
    try:
        yield
    finally:
        os.environ.pop("ROBUSTMER_DATA")
        os.environ.update({} if given is None else {"ROBUSTMER_DATA": given})


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        with stoppable(), data_of_the_project():
            return args.do(args)
    except BrokenPipeError:  # the reader of a pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, LookupError, ArithmeticError, OSError, ImportError, MemoryError) as error:
        message = error.args[0] if type(error) is KeyError and error.args else error
        print(f"robustmer: {' '.join(printable(message).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nrobustmer: stopped; finished work is kept, and the same command goes on from it", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
