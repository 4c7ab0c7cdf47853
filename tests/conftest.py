"""Shape annotations are checked in every test: jaxtyping's import hook runs before Handloom is imported."""

from jaxtyping import install_import_hook

install_import_hook("handloom", "runtime_checks.typechecked")
