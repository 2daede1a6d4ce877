"""The plan of each build: that of a usual one, with what its conditions change. Pure."""

from __future__ import annotations

from dataclasses import replace

from bwbuild.build.plan import Inputs, Plan, make_plan, on_disk
from bwbuild.conduct.listing import COMMAND
from bwbuild.conduct.values import Conditions
from bwbuild.config.settings import CompilerCache, Settings
from bwbuild.config.settings import Workspace as WorkspaceChoice
from bwbuild.deb.buildoptions import ALL, ANY, SOURCE, BuildOptions
from bwbuild.errors import UsageError
from bwbuild.sandbox.bwrap import HELPERS
from bwbuild.sandbox.environment import FIXED
from bwbuild.sandbox.spec import Bind, Guest, Mount, Saved, Scratch, Tmpfs

#: What the conditions of a build decide.
_OWN = ("-j", "-J", "--jobs", "-tc", "--post-clean", "--rules-requires-root", "--as-root")
#: As dpkg-buildpackage does it: patches that were not applied before are not applied afterwards.
_CLEANED = 'dpkg-source --before-build . && "$@" && exec dpkg-source --after-build .'
#: What the kernel says of the processors, for who counts them without asking which he may use. It lies among
#: bwbuild's helpers.
ONLINE, ONE = Scratch("ns/inside/online"), "0\n"
#: Fewer would not show what goes wrong when jobs run at once.
FEWEST_JOBS = 2


def settings_of(settings: Settings) -> Settings:
    """The settings of all builds: the tree itself is never written, and none knows of another."""
    return replace(
        settings,
        workspace=WorkspaceChoice.PRIVATE,
        workspace_memory=0,
        compiler_cache=CompilerCache.NONE,
    )


def options_of(options: BuildOptions) -> BuildOptions:
    """What all builds have of the caller's options: binary packages, unless some of them are asked for.

    :raises UsageError: one of them contradicts what is to be found out.
    """
    own = [word for word in options.passed if word.startswith(_OWN)]
    refused = own or [word for word in options.passed if word in ("-nc", "--no-pre-clean")]
    if options.targets:
        refused = ["-T"]
    if refused:
        raise UsageError(
            f"{refused[0]}: bwbuild policy decides that itself, since it is what it looks into",
            hint="leave it out",
        )
    if not options.types_given:
        return replace(options, types=frozenset({ANY, ALL}), types_given=True, passed=("-b", *options.passed))
    if SOURCE in options.types:
        raise UsageError("bwbuild policy builds no source package", hint="give -b, -A or -B, or none of them")
    return options


def base(inputs: Inputs) -> Conditions:
    """The conditions that others are held against."""
    return Conditions(max(FEWEST_JOBS, inputs.host.processors.usable))


def build(inputs: Inputs, conditions: Conditions, *, cleaned: bool = False) -> Plan:
    """The plan of a build.

    :param cleaned: the tree is cleaned at its end.
    """
    words = [f"-J{conditions.jobs}"]
    if cleaned:
        words.append("-tc")
    if conditions.rooted:
        words.append("--rules-requires-root")
    plan = _plan(inputs, *words)
    if conditions.housed:
        plan = _with_mount(plan, Tmpfs(Guest(FIXED["HOME"]), 0o1777, size=plan.sandbox.ceilings.tmp))
    if conditions.confined and inputs.host.processors.on > 1:
        plan = _with_mount(plan, Bind(ONLINE, Guest("/sys/devices/system/cpu/online")))
    script = f'umask {conditions.umask:04o}; exec "$@"'
    return plan if conditions.umask == 0o022 else with_script(plan, script)


def clean(inputs: Inputs, conditions: Conditions) -> Plan:
    """The plan that cleans a tree."""
    options = replace(inputs.options, targets=("clean",))
    plan = _plan(replace(inputs, options=options), f"-J{conditions.jobs}", "-Tclean")
    return with_script(plan, _CLEANED)


def leaves_files_of_root(inputs: Inputs) -> bool:
    """Whether clean runs without root in a tree in which others may have had it.

    Single commands get root then, and what they make belongs to it. Under fakeroot it would be the user's.
    """
    return inputs.source.needs_root not in ("", "no", "binary-targets")


def handed_back(inputs: Inputs) -> Plan:
    """The plan that gives all of the tree to the build user."""
    plan = _plan(inputs)
    identity = plan.sandbox.identity
    chown = ("chown", "-hR", f"{identity.uid}:{identity.gid}", ".")
    return _as_root(plan, chown)


def listing(inputs: Inputs) -> Plan:
    """The plan that lists the tree, as who may read all of it."""
    return _as_root(_plan(inputs), COMMAND)


def with_script(plan: Plan, script: str) -> Plan:
    """The same with its command as the words of a shell script."""
    command = ("sh", "-c", script, "bwbuild", *plan.sandbox.command)
    return replace(plan, sandbox=replace(plan.sandbox, command=command))


def _with_mount(plan: Plan, mount: Mount) -> Plan:
    # Before what seals the root.
    *mounts, sealed = plan.sandbox.mounts
    return replace(plan, sandbox=replace(plan.sandbox, mounts=(*mounts, mount, sealed)))


def _as_root(plan: Plan, command: tuple[str, ...]) -> Plan:
    words = (f"{HELPERS}/as-root", *command) if plan.sandbox.broker else command
    return replace(plan, sandbox=replace(plan.sandbox, command=words))


def _plan(inputs: Inputs, *words: str) -> Plan:
    options = replace(inputs.options, passed=(*inputs.options.passed, *words))
    plan = on_disk(make_plan(replace(inputs, options=options)))
    # What follows in the same tree needs what a layer in memory had.
    workspace = replace(plan.sandbox.workspace, saved=Saved.ALWAYS)
    return replace(plan, sandbox=replace(plan.sandbox, workspace=workspace))
