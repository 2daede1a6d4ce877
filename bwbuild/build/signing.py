"""Whether and with which key results are signed."""

from __future__ import annotations

import os

from bwbuild.build.plan import Plan
from bwbuild.build.report import Signature
from bwbuild.config.settings import Sign
from bwbuild.errors import SigningError
from bwbuild.handover.keys import NoKey, Wishes, find_key, read_devscripts
from bwbuild.handover.sign import sign
from bwbuild.handover.verify import Verified

UNRELEASED = "UNRELEASED"


def signed(plan: Plan, verified: Verified, *, terminal: bool) -> tuple[Verified, Signature]:
    """Sign ``verified`` if that is wanted and possible; the signature says which key or why not.

    :raises SigningError: a signature was asked for and can't be had.
    """
    wanted = must_sign(plan)
    if wanted is Sign.NEVER:
        return verified, Signature(reason="as asked")
    if wanted is Sign.AUTO and plan.source.distribution == UNRELEASED:
        return verified, Signature(reason="the distribution is UNRELEASED")
    key = find_key(
        Wishes(
            option=plan.options.sign_key or "",
            setting=plan.settings.sign_key or "",
            environment=os.environ.get("DEB_SIGN_KEYID", ""),
            devscripts=read_devscripts(),
            changed_by=plan.source.changed_by,
        )
    )
    if isinstance(key, NoKey):
        if wanted is Sign.ALWAYS:
            hint = "name a key: -kKEY or sign.key; gpg --list-secret-keys shows those that are there"
            raise SigningError(f"no key to sign with: {key.reason}", hint=hint)
        return verified, Signature(reason=key.reason)
    program = plan.options.sign_program or ""
    return sign(verified, key, terminal=terminal, program=program), Signature(key=key.fingerprint)


def must_sign(plan: Plan) -> Sign:
    """What the options of dpkg-buildpackage and the settings say together; the typed option wins."""
    if plan.options.sign is not None:
        return Sign.ALWAYS if plan.options.sign else Sign.NEVER
    return plan.settings.sign
