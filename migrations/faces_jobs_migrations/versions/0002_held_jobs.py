"""Allow jobs to be paused, or to wait for disk space."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BEFORE = (
    "queued",
    "running",
    "finishing",
    "succeeded",
    "succeeded_with_errors",
    "failed",
    "cancelled",
)
HELD = ("paused", "waiting_for_space")


def upgrade() -> None:
    """Upgrade to this revision."""
    _states(BEFORE, (*BEFORE[:3], *HELD, *BEFORE[3:]))


def downgrade() -> None:
    """Downgrade to the previous revision. Held jobs become running."""
    op.execute("UPDATE jobs SET status = 'running' WHERE status IN ('paused', 'waiting_for_space')")
    _states((*BEFORE[:3], *HELD, *BEFORE[3:]), BEFORE)


def _states(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.alter_column(
            "status", existing_type=_status(before), type_=_status(after), existing_nullable=False
        )


def _status(states: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*states, name="status", native_enum=False, create_constraint=True, length=32)
