"""The stores that a journal lies in."""

from store_fixtures import store_url  # noqa: F401 - a fixture
