"""Public names of a package, imported when one is first asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def looked_up(package: dict[str, Any]) -> "Callable[[str], object]":
    """Return the ``__getattr__`` of a package that offers the guard library.

    Args:
        package: its globals, with the ``__all__`` of what it offers.
    """

    def found(name: str) -> object:
        if name not in package["__all__"]:
            said = f"module {package['__name__']!r} has no attribute {name!r}"
            raise AttributeError(said)
        from enforcement import public  # noqa: PLC0415 - not before it is asked for

        package[name] = getattr(public, name)
        return package[name]

    return found
