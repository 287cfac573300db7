"""The paper's claims C1 to C9, each put to the test that results/PLAN.md registers.

rules.py says what is claimed and when it holds, evidence.py measures, report.py writes the files,
predict.py reads from them what goes with a gain, beyond.py asks three more questions.
"""

from agentprm_lite.study.beyond import QUESTIONS, Question
from agentprm_lite.study.report import claim, question, reproduce
from agentprm_lite.study.rules import CLAIMS, Claim, Estimate, Verdict, decide, overall

__all__ = [
    "CLAIMS",
    "QUESTIONS",
    "Claim",
    "Estimate",
    "Question",
    "Verdict",
    "claim",
    "decide",
    "overall",
    "question",
    "reproduce",
]
