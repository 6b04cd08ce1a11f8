"""`python -m pressrun` is the command `pressrun`."""

import sys

from pressrun_entry import main

sys.exit(main())
