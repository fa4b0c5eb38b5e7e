"""How `make test` distributes the tests over its processes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling


class ByModuleOrTest(LoadScopeScheduling):  # type: ignore[misc]  # ships no types
    """Distributes single tests, but keeps modules with a `scope="module"` fixture together.

    Such a module starts a service, or trains a network, for all its tests: another process would
    have to repeat that. These modules are scheduled first, since they take longest, then all
    other tests in order. (The mark that xdist has for this is lost on the node ids of pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _has_module_fixture(self.config.rootpath / path) else nodeid


@cache
def _has_module_fixture(module: Path) -> bool:
    return 'scope="module"' in module.read_text(encoding="utf-8")
