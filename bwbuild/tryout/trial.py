"""A program that is about to run: all that decides about its sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild.build.restraints import restraints
from bwbuild.build.watch.limits import Limits, ceilings, resolve
from bwbuild.config.settings import Settings
from bwbuild.host.facts import Host
from bwbuild.permissions.words import FOREIGN_ABI, USERNS, Permission
from bwbuild.root import etc
from bwbuild.root.view import whole_view
from bwbuild.sandbox import program
from bwbuild.sandbox.network import NAMESERVER
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.spec import Handed, Sandbox
from bwbuild.tryout.homes import Home
from bwbuild.tryout.root import Root
from bwbuild.tryout.values import Asked


@dataclass(frozen=True, slots=True)
class Trial:
    """A program that is about to run.

    :ivar links: places in its home -> the granted path that a link there leads to.
    """

    asked: Asked
    settings: Settings
    host: Host
    root: Root
    home: Home
    command: tuple[str, ...]
    granted: tuple[Permission, ...] = ()
    permits: Permits = NO_PERMITS
    handed: tuple[Handed, ...] = ()
    links: Mapping[str, Path] = field(default_factory=dict)
    interactive: bool = False

    @property
    def limits(self) -> Limits:
        """What it may take; it may be silent, and use the disk as its user may."""
        return replace(resolve(self.settings, self.host), silence=None, disk=None)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox of the program."""
        # What is written at home is to last.
        settings = replace(
            self.settings,
            suppress_sync=False,
            allow=self.granted,
            foreign_abi=self.settings.foreign_abi or FOREIGN_ABI in self.granted,
        )
        identity = self.root.base.identity
        return program.compose(
            program.Program(
                identity=identity,
                view=whole_view(self.root.ground),
                home=self.home.path,
                environment=program.environment(identity, dict(os.environ) if self.interactive else {}),
                command=self.command,
                restraints=restraints(settings, self.host.architecture),
                ceilings=ceilings(self.limits, self.host, nesting=USERNS in self.granted),
                sysfs=self.host.sysfs,
                permits=self.permits,
                handed=self.handed,
                interactive=self.interactive,
                traced=self.asked.learn,
            )
        )

    @property
    def etc_files(self) -> Mapping[str, str]:
        """What lies over the root's /etc."""
        identity = self.root.base.identity
        ground = self.root.ground
        user = (program.USER, identity.uid, identity.gid)
        network = self.permits.network
        nameserver = NAMESERVER[network] if network is not None else None
        return program.etc_files(etc.files(ground.passwd, ground.group, user, nameserver))
