"""What the caller should know of a plan: choices that weaken the sandbox, and what is not as usual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bwbuild.build import asked
from bwbuild.build.granted import terms
from bwbuild.build.restraints import weakenings
from bwbuild.config.settings import IdentityChoice
from bwbuild.deb.rebuild import Entry
from bwbuild.events import Level, Notice
from bwbuild.sandbox import identity as identities
from bwbuild.sandbox.spec import Identity, IdentityKind
from bwbuild.units import without_passwords

if TYPE_CHECKING:
    from bwbuild.build.plan import Inputs


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a plan has decided that there is something to say of.

    :ivar entry: goes before the changelog.
    :ivar workspace, jobs: about the workspace, and why there are so few jobs.
    """

    identity: Identity
    entry: Entry | None
    workspace: tuple[Notice, ...]
    jobs: tuple[str, ...]


def notes_on(inputs: Inputs, chosen: Chosen) -> tuple[Notice, ...]:
    """All notes, in their order."""
    purposes = terms.purposes(inputs.settings, command=bool(inputs.command))
    return (
        *_entry_notes(chosen.entry),
        *terms.notes([item for item in inputs.decisions if item.purpose in purposes], inputs.meanings),
        *_weakenings(inputs, chosen.identity),
        *chosen.workspace,
        *(Notice(Level.INFO, note) for note in chosen.jobs),
        *_view_notes(inputs),
        *asked.notes(inputs, chosen.identity),
    )


def _entry_notes(entry: Entry | None) -> tuple[Notice, ...]:
    if entry is None:
        return ()
    text = (
        f"version {entry.version}: the workspace has an entry for it before the changelog, the tree has not"
    )
    return (Notice(Level.INFO, text),)


def _view_notes(inputs: Inputs) -> tuple[Notice, ...]:
    if inputs.ground is not None:
        base, layer = inputs.ground.base, inputs.ground.layer
        day = datetime.fromtimestamp(base.made, UTC).date().isoformat()
        text = f"base: {base.suite.name} as of {day}, and {len(layer.packages)} packages over it"
        extra = (f"extra {kind}: {without_passwords(value)}" for kind, value in inputs.options.extra)
        return (Notice(Level.INFO, text), *(Notice(Level.INFO, line) for line in extra))
    view = inputs.view
    if view is None:
        return ()
    number = len(view.packages)
    return (
        *(Notice(Level.WARNING, f"not checked: {missing}") for missing in view.missing),
        Notice(Level.INFO, _seen(inputs, number)),
        *(Notice(Level.INFO, f"as the host has it, not made again: {why}") for why in view.failed),
    )


def _seen(inputs: Inputs, packages: int) -> str:
    if inputs.narrowing is not None:
        return f"view: what recorded builds opened of the {packages} packages that the source declares"
    return f"view: the {packages} packages that the source declares; --view host shows all"


def _weakenings(inputs: Inputs, identity: Identity) -> tuple[Notice, ...]:
    notes = list(weakenings(inputs.settings, inputs.host.architecture))
    if not inputs.host.sysfs.whole:
        text = (
            "something hides a part of /sys here, so the build sees the machine's, but for its network cards"
        )
        notes.append(Notice(Level.WARNING, text))
    if identity.kind is IdentityKind.SINGLE:
        if inputs.host.caller.is_root:
            text = "identity single: root inside is root of this machine, held back by namespaces alone"
            notes.append(Notice(Level.WARNING, text))
        else:
            why = (
                "was asked for"
                if inputs.settings.identity is IdentityChoice.SINGLE
                else f"{inputs.host.caller.name} has no subordinate ids; bwbuild doctor says how to get some"
            )
            text = f"identity single ({why}): only root exists inside, chown to other users fails"
            notes.append(Notice(Level.WARNING, text))
    elif identity.outer_first is not None and identity.count < identities.FULL:
        text = f"identity range has {identity.count} ids only; nobody and other high ids are missing"
        notes.append(Notice(Level.WARNING, text))
    return tuple(notes)
