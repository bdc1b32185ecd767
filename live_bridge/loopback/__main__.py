"""``python -m live_bridge.loopback``."""

import sys

from live_bridge.loopback.command import main

if __name__ == "__main__":
    sys.exit(main())
