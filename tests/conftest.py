"""Shape annotations are checked in every test: jaxtyping's import hook runs before Handloom is imported."""

from jaxtyping import install_import_hook

install_import_hook("handloom", "runtime_checks.typechecked")

import pytest  # noqa: E402 - the hook comes first

from browser import NO_GPU, Browser  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    """A headless browser for the tests of one file."""
    chromium = Browser(*NO_GPU)
    yield chromium
    chromium.close()
