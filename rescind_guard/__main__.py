"""The program ``rescind-guard``, as ``python -m rescind_guard``."""

from enforcement.shared.command import main

if __name__ == "__main__":
    main()
