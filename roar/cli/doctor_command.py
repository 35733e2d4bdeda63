"""``roar doctor``."""

from __future__ import annotations

import click

from roar.cli import present
from roar.cli.say import Style, write_json
from roar.errors import EXIT_FAILURE, EXIT_OK
from roar.records.summary import printable
from roar.verbs.doctor import doctor


@click.command("doctor", epilog="\b\nExamples:\n  git roar doctor\n  git roar doctor --remotes")
@click.option("--remotes", is_flag=True, help="Ask the remotes, too, over the network.")
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
def command(*, remotes: bool, as_json: bool) -> int:
    """Check git, the tracer, configuration, identity, refs, index and remotes: one line each, with the mend.

    The tracer counts as working only when it has just seen a real file being read. Exits with 1 when something is
    wrong.
    """
    found = []
    style = Style.of(1)  # the configuration may be what is wrong
    paint = {"ok": style.green, "note": style.yellow, "bad": style.red}
    for symptom in doctor(ask_remotes=remotes):
        found.append(symptom)
        if not as_json:
            mend = f" (next: {printable(symptom.mend)})" if symptom.mend else ""
            present.write(
                [f"{paint[symptom.grade](f'{symptom.grade:<4}')}  {symptom.what}: {printable(symptom.text)}{mend}"]
            )
    well = all(symptom.grade != "bad" for symptom in found)
    if as_json:
        write_json({"well": well, "checks": [symptom._asdict() for symptom in found]})
    return EXIT_OK if well else EXIT_FAILURE
