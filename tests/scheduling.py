"""How the tests are dealt out to the processes of `make test`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling


class ByModuleOrTest(LoadScopeScheduling):  # type: ignore[misc]  # ships no types
    """Deals out single tests, but those of a module with `scope="module"` together.

    Such a module starts a service, or trains a network, that all its tests look at: elsewhere it
    would be started again. They come first, since they take longest; then all others in order.
    (xdist's own way to say this, a mark, is lost on the node ids of pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _shares(self.config.rootpath / path) else nodeid


@cache
def _shares(module: Path) -> bool:
    return 'scope="module"' in module.read_text(encoding="utf-8")
