"""`image-search check`: damage of the index, and its repair."""

from rich.console import Console

from store.offline.repair import Examined, examine, repair
from store.settings import StoreSettings


async def check(console: Console, *, mend: bool) -> bool:
    """Print what is damaged, and repair the index if `mend`; returns whether it is whole.

    Raises:
        StoreError: the index cannot be opened at all, or not be written.
    """
    settings = StoreSettings()
    found = await examine(settings)
    for line in _findings(found):
        console.print(line)
    if found.is_whole or not mend:
        return found.is_whole
    mended = await repair(settings)
    console.print(f"Repaired: {mended.rows} images are left.")
    return mended.is_whole


def _findings(found: Examined) -> list[str]:
    if found.is_whole:
        return [f"The index is whole: {found.rows} images, version {found.version}."]
    lines = [f"{file} is damaged or missing." for file in found.damage.files]
    if found.damage.rows:
        lines.append(f"These files hold {found.damage.rows} of {found.rows} images.")
    lines += [
        f"The index {name} has lost files; the next start makes it anew."
        for name in found.damage.indexes
    ]
    if found.acknowledged > found.version:
        there = f"the newest that is there is {found.version}" if found.version else "none is there"
        lines.append(f"Version {found.acknowledged} was acknowledged, but {there}.")
    return [*lines, "A backup of the folder has what is lost; --repair goes on without it."]
