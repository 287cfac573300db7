"""The paper's claims C1 to C9, each put to the test that results/PLAN.md registers.

rules.py says what is claimed and when it holds, evidence.py measures, report.py writes the files,
predict.py reads from them what goes with a gain.
"""

from agentprm_lite.claims.report import claim, reproduce
from agentprm_lite.claims.rules import CLAIMS, Claim, Estimate, Verdict, decide, overall

__all__ = ["CLAIMS", "Claim", "Estimate", "Verdict", "claim", "decide", "overall", "reproduce"]
