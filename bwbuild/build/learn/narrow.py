"""``--view learned``: what a profile leaves of the declared view."""

from __future__ import annotations

from bwbuild.build.learn import profile
from bwbuild.build.learn.profile import Subject
from bwbuild.build.plan import Inputs
from bwbuild.errors import ConfigurationError
from bwbuild.root.learned import Narrowing, narrowed


def narrowing(inputs: Inputs) -> Narrowing:
    """What of the inputs' view is hidden.

    :raises ConfigurationError: there is no profile, or one of other packages.
    """
    view, options = inputs.view, inputs.options
    if view is None:
        raise ConfigurationError("--view learned needs a view of the declared packages")
    architecture = options.architecture(inputs.host.architecture)
    found = profile.read(Subject(inputs.source.name, "host", options.type_name, architecture))
    found.check(view.packages)
    return narrowed(view, found.paths)
