"""Counts what the template deploys, by type of resource, as CloudFormation sees it: after the transform of SAM."""

from collections import Counter

from parametersets import ROOT, sets
from stack import Stack, transformed

VARIANTS = ("default", "least", "existing", "all")

template = transformed((ROOT / "template.yaml").read_text())

counts = {}
for variant in VARIANTS:
    stack = Stack(template, "s", sets(template)[variant])
    counts[variant] = Counter(r["Type"] for r in template["Resources"].values() if stack.exists(r))

print(f"{'':44}" + "".join(f"{variant:>10}" for variant in VARIANTS))
for type_ in sorted(set().union(*counts.values())):
    print(f"{type_:44}" + "".join(f"{counts[variant][type_]:10}" for variant in VARIANTS))
print(f"{'all':44}" + "".join(f"{counts[variant].total():10}" for variant in VARIANTS))
