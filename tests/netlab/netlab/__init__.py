"""netlab: a WAN and NAT boxes of every kind on one machine. docs/netlab.md.

SPDX-License-Identifier: Apache-2.0
"""
from .errors import LabError, ScenarioError
from .lab import Lab, program, wait_until
from .nat import KINDS
from .scenario import parse_scenario

__all__ = ["KINDS", "Lab", "LabError", "ScenarioError", "parse_scenario", "program", "wait_until"]
