"""Whether and with which key results are signed: decided before the build, not to refuse after it."""

from __future__ import annotations

import os

from bwbuild.build.plan import Plan
from bwbuild.build.record.report import Signature
from bwbuild.config.settings import Sign
from bwbuild.errors import SigningError
from bwbuild.handover.keys import Key, NoKey, Wishes, find_key, read_devscripts

UNRELEASED = "UNRELEASED"


def decide(plan: Plan) -> Key | Signature:
    """The key that will sign, or the absence of a signature with its reason.

    :raises SigningError: a signature was asked for and there is no key.
    """
    wanted = must_sign(plan)
    if wanted is Sign.NEVER:
        return Signature(reason="as asked")
    if not plan.options.makes_changes:
        return Signature(reason="no .changes is made")
    if wanted is Sign.AUTO and plan.distribution == UNRELEASED:
        return Signature(reason="the distribution is UNRELEASED")
    key = find_key(
        Wishes(
            option=plan.options.sign_key or "",
            setting=plan.settings.sign_key or "",
            environment=os.environ.get("DEB_SIGN_KEYID", ""),
            devscripts=read_devscripts(),
            changed_by=plan.changed_by,
        )
    )
    if not isinstance(key, NoKey):
        return key
    if wanted is Sign.ALWAYS:
        hint = "name a key: -kKEY or sign.key; gpg --list-secret-keys shows those that are there"
        raise SigningError(f"no key to sign with: {key.reason}", hint=hint)
    return Signature(reason=key.reason)


def must_sign(plan: Plan) -> Sign:
    """What the options of dpkg-buildpackage and the settings say together; the typed option wins."""
    if plan.options.sign is not None:
        return Sign.ALWAYS if plan.options.sign else Sign.NEVER
    return plan.settings.sign
