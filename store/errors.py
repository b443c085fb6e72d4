"""Errors of the store that a user can cause."""

from __future__ import annotations

from measurewise.engine.errors import MeasurewiseError


class StoreError(MeasurewiseError):
    """The database cannot be opened or is not of this version."""

    code = "transient"


class ForbiddenError(MeasurewiseError):
    """Somebody may not do this."""

    code = "forbidden"


class NoSuchResourceError(MeasurewiseError):
    """Nothing is stored under this type and id, or nothing that the request may see."""

    code = "not-found"


class DeletedResourceError(MeasurewiseError):
    """The resource was there and has been deleted."""

    code = "deleted"


class ConflictError(MeasurewiseError):
    """The resource has changed since, or several answer where one was meant."""

    code = "conflict"


class SearchError(MeasurewiseError):
    """A search that names an unknown parameter or has a value of the wrong form."""

    code = "invalid"


class UnsupportedSearchError(SearchError):
    """A search parameter or modifier that is not offered, which a client may ask to be left out."""


class PreconditionError(ConflictError):
    """The resource is not at the version that a change was made for (``If-Match``)."""

    status = 412


class TooMuchError(MeasurewiseError):
    """An answer that would be larger than any client wants."""

    code = "too-costly"
