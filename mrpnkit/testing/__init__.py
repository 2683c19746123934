"""What is asked of extractors, aggregators, fusions and balancers, as checks that a plugin's own tests can run.

Our tests run them over everything that is registered. They raise AssertionError with a text that says which demand is
not met, and for which input and mode. They work on a CPU, on small random batches, and leave the global random state as
it was. That a part can be configured, whatever its kind, is a check of its own.
"""

from mrpnkit.testing.balancers import check_balancer
from mrpnkit.testing.configuration import check_configuration
from mrpnkit.testing.fusions import check_fusion
from mrpnkit.testing.parts import check_aggregator, check_extractor

__all__ = ["check_aggregator", "check_balancer", "check_configuration", "check_extractor", "check_fusion"]
