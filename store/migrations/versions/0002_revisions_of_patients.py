"""An index that tells revisions of patients' data without reading the data."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OF_THE_FIRST = ["organization", "patient", "type"]


def upgrade() -> None:
    """Let the index of compartments hold what a revision is made of."""
    op.drop_index("ix_resources_compartment", table_name="resources")
    op.create_index(
        "ix_resources_compartment", "resources", [*_OF_THE_FIRST, "deleted", "version", "key"], unique=False
    )


def downgrade() -> None:
    """Make the index what it was."""
    op.drop_index("ix_resources_compartment", table_name="resources")
    op.create_index("ix_resources_compartment", "resources", _OF_THE_FIRST, unique=False)
