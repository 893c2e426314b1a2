"""Which platforms are plugged in: those in this repository, and those that installed packages offer."""

from collections.abc import Sequence
from importlib.metadata import entry_points

from resolvers import assistant, attribution, billing, livestream, marketplace, messaging
from schema.platform import ENTRY_POINTS, Platform

BUILT_IN: tuple[Platform, ...] = tuple(
    module.PLATFORM for module in (attribution, messaging, marketplace, billing, livestream, assistant)
)


class UnknownPlatform(Exception):
    """A platform that is asked for is not installed, or is not a platform."""


def installed() -> list[Platform]:
    """Every platform there is: the built-in ones, then those of the entry-point group in order of their names.

    Raises ``UnknownPlatform`` when an entry point gives something else.
    """
    outside = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        platform = entry.load()
        if not isinstance(platform, Platform):
            message = f"the entry point {entry.name} = {entry.value} of {ENTRY_POINTS} is not a Platform"
            raise UnknownPlatform(message)
        outside.append(platform)
    return [*BUILT_IN, *outside]


def chosen(keys: Sequence[str]) -> list[Platform]:
    """The platforms with these keys, in their own order; all that are installed when there are no keys.

    Raises ``UnknownPlatform`` for a key that nothing has.
    """
    everything = installed()
    unknown = sorted(set(keys) - {platform.key for platform in everything})
    if unknown:
        known = ", ".join(platform.key for platform in everything)
        message = f"PLATFORMS names {unknown[0]!r}, which is not installed. There are: {known}."
        raise UnknownPlatform(message)
    return [platform for platform in everything if not keys or platform.key in keys]
