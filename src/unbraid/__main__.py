"""`python -m unbraid` is the `unbraid` command."""

import sys

from unbraid.cli import main

sys.exit(main())
