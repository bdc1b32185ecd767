"""``python -m live_bridge`` is ``live-bridge``."""

from live_bridge.cli import main

if __name__ == "__main__":
    main()
