"""Which patients and resources each source gave, and how far its subscription is."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_SOURCE = "sources.id"


def upgrade() -> None:
    """Make the tables."""
    op.add_column("sources", sa.Column("last_event", sa.BigInteger(), nullable=True))
    op.create_table(
        "source_patients",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(128), nullable=False),
        sa.Column("read", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["source"], [_SOURCE], name="fk_source_patients_source_sources", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source", "patient", name="pk_source_patients"),
    )
    op.create_table(
        "source_resources",
        sa.Column("resource", _KEY, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("read", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource"], ["resources.key"], name="fk_source_resources_resource_resources", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["source"], [_SOURCE], name="fk_source_resources_source_sources", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("resource", name="pk_source_resources"),
    )
    op.create_index("ix_source_resources_source", "source_resources", ["source"])


def downgrade() -> None:
    """Take the tables away."""
    op.drop_index("ix_source_resources_source", table_name="source_resources")
    op.drop_table("source_resources")
    op.drop_table("source_patients")
    op.drop_column("sources", "last_event")
