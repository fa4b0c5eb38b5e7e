"""Add summaries of blocks of faces, by which queries skip blocks that can't match."""

from __future__ import annotations

from itertools import combinations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LABELS = {
    "gender": ("female", "male", "unsure"),
    "expression": (
        "anger",
        "disgust",
        "fear",
        "happiness",
        "neutral",
        "sadness",
        "surprise",
        "unsure",
    ),
    "illumination": ("bad", "medium", "high", "unsure"),
    "pose": ("frontal", "left", "right", "up", "down", "unsure"),
    "occlusion": ("glasses", "beard", "ornaments", "hair", "hand", "none", "others", "unsure"),
    "age": ("child", "young", "middle", "old", "unsure"),
    "makeup": ("partial", "over", "unsure"),
}
BOUNDS = [
    (head, label, side)
    for head, labels in LABELS.items()
    for label in labels
    for side in ("min", "max")
]
PAIRS = list(combinations(LABELS, 2))
START = ["first_item", "first_frame", "first_face"]
END = ["last_item", "last_frame", "last_face"]
FRAMES, IMAGES = 500, 64  # in a block
LAST_FRAME, LAST_FACE = 2**62, 2**31 - 1


def upgrade() -> None:
    """Upgrade to this revision. Summarises all faces, which takes minutes for ten million."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = 0")  # it scans all faces
    op.create_table(
        "face_blocks",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("first_item", sa.BigInteger(), nullable=False),
        sa.Column("first_frame", sa.BigInteger(), nullable=False),
        sa.Column("first_face", sa.Integer(), nullable=False),
        sa.Column("last_item", sa.BigInteger(), nullable=False),
        sa.Column("last_frame", sa.BigInteger(), nullable=False),
        sa.Column("last_face", sa.Integer(), nullable=False),
        sa.Column("min_time_ms", sa.Double(), nullable=False),
        sa.Column("max_time_ms", sa.Double(), nullable=False),
        sa.Column("min_track", sa.Integer(), nullable=False),
        sa.Column("max_track", sa.Integer(), nullable=False),
        sa.Column("max_score", sa.Double(), nullable=False),
        *(sa.Column("_".join(bound), sa.Double()) for bound in BOUNDS),
        *(sa.Column(f"{one}_and_{other}", sa.BigInteger(), nullable=False) for one, other in PAIRS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_face_blocks")),
    )
    # A photograph has few faces, so that a block spans several photographs.
    _sum_up("items.kind = 'image'", f"faces.item_id / {IMAGES}", LAST_FRAME)
    _sum_up(
        "(items.kind IS NULL OR items.kind <> 'image')",
        f"faces.item_id, faces.frame_index / {FRAMES}",
        None,
    )
    op.create_index("ix_face_blocks_order", "face_blocks", [*START, *END])
    op.create_index("ix_face_blocks_job", "face_blocks", ["job_id", *START, *END])
    # The faces of a track, or of a range of time, are found by the blocks now.
    op.drop_index("ix_faces_track", table_name="faces")
    op.drop_index("ix_faces_time", table_name="faces")


def downgrade() -> None:
    """Downgrade to the previous revision. Nothing is lost, since blocks are derived from faces."""
    rest = ["frame_index", "face_index"]
    op.create_index("ix_faces_time", "faces", ["item_id", "time_ms", *rest])
    op.create_index("ix_faces_track", "faces", ["item_id", "track", *rest])
    op.drop_table("face_blocks")


def _sum_up(which: str, block: str, last_frame: int | None) -> None:
    columns = {
        "job_id": "faces.job_id",
        "first_item": "min(faces.item_id)",
        "first_frame": "min(faces.frame_index)",
        "first_face": "0",
        "last_item": "max(faces.item_id)",
        "last_frame": "max(faces.frame_index)" if last_frame is None else str(last_frame),
        "last_face": str(LAST_FACE),
        "min_time_ms": "min(faces.time_ms)",
        "max_time_ms": "max(faces.time_ms)",
        "min_track": "min(faces.track)",
        "max_track": "max(faces.track)",
        "max_score": "max(faces.score)",
    }
    for head, label, side in BOUNDS:
        probability = f"CASE faces.{head} WHEN '{label}' THEN faces.{head}_probability END"
        columns[f"{head}_{label}_{side}"] = f"{side}({probability})"
    for one, other in PAIRS:
        columns[f"{one}_and_{other}"] = f"coalesce({_bits_of(one, other)}, 0)"
    op.execute(
        f"INSERT INTO face_blocks ({', '.join(columns)}) "  # noqa: S608 (no user input)
        f"SELECT {', '.join(columns.values())} FROM faces JOIN items ON items.id = faces.item_id "
        f"WHERE {which} GROUP BY faces.job_id, {block} ORDER BY 2, 3"
    )


def _bits_of(one: str, other: str) -> str:
    """Return SQL for the bits of all pairs of labels that occur together on a face of the block."""
    place = f"({_place_of(one)} * 8 + {_place_of(other)})"
    if op.get_bind().dialect.name == "postgresql":
        return f"bit_or(1::bigint << {place})"
    # SQLite has no bit_or: the sum of distinct bits is the same.
    return f"sum(DISTINCT 1 << {place})"


def _place_of(head: str) -> str:
    cases = " ".join(f"WHEN '{label}' THEN {n}" for n, label in enumerate(LABELS[head]))
    return f"(CASE faces.{head} {cases} END)"
