"""The Subscriptions that the server keeps at its sources."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sources", sa.Column("subscriptions", sa.LargeBinary(), nullable=True))
    op.add_column("sources", sa.Column("look_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sources", sa.Column("heard", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take the columns away."""
    for column in ("heard", "look_at", "subscriptions"):
        op.drop_column("sources", column)
