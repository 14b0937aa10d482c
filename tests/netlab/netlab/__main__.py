"""python3 -m netlab: shell.py. SPDX-License-Identifier: Apache-2.0"""
import sys

from .shell import main

sys.exit(main())
