"""What goes wrong, in the words of whoever can mend it.

SPDX-License-Identifier: Apache-2.0
"""


class LabError(Exception):
    """The lab cannot do that."""


class ScenarioError(LabError):
    """A scenario, or one action, is not written as it should be."""
