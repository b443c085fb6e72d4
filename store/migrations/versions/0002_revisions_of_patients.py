"""What tells whether content and patients' data have changed, without reading them; resources by name."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OF_THE_FIRST = ["organization", "patient", "type"]


def upgrade() -> None:
    """Let the index of compartments hold what a revision is made of; number the states of the content."""
    op.drop_index("ix_resources_compartment", table_name="resources")
    op.create_index(
        "ix_resources_compartment", "resources", [*_OF_THE_FIRST, "deleted", "version", "key"], unique=False
    )
    op.create_index("ix_resources_name", "resources", ["type", "id"], unique=False)
    revisions = op.create_table(
        "revisions",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_revisions"),
    )
    op.bulk_insert(revisions, [{"name": "content", "number": 0}])


def downgrade() -> None:
    """Make the indexes what they were."""
    op.drop_table("revisions")
    op.drop_index("ix_resources_name", table_name="resources")
    op.drop_index("ix_resources_compartment", table_name="resources")
    op.create_index("ix_resources_compartment", "resources", _OF_THE_FIRST, unique=False)
