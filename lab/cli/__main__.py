"""``python -m lab.cli`` is ``mnemo``."""

from lab.cli.app import main

if __name__ == "__main__":
    main()
