"""The command `napari-sam3` as `python -m napari_sam3`."""

import sys

from .commands import main

sys.exit(main())
