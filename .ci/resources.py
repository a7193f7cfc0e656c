"""Counts what the template deploys, by type of resource, as CloudFormation sees it: after the transform of SAM."""

import logging
import os
from collections import Counter

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # no call goes there
logging.disable()  # of what SAM tells itself about its features

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

VARIANTS = {
    "default": {},
    "least": {"AccessLogRole": "NONE", "AlarmTopicArn": "given"},
    "existing": {
        name: "given"
        for name in (
            "ExistingTable",
            "ExistingTableStream",
            "ExistingSecret",
            "ExistingKey",
            "ExistingReferenceTable",
            "ExistingDeviceTable",
            "ExistingPlanTable",
            "ExistingAuditTable",
            "ExistingCheckpoints",
            "ExistingCheckpointKey",
        )
    },
    "all": {"AlarmEmail": "given", "WafRateLimit": "given", "SecretRotationDays": "given"},
}


def holds(condition, template, values):
    """Evaluates a condition of the template."""
    if isinstance(condition, str):
        return holds(template["Conditions"][condition], template, values)
    ((function, arguments),) = condition.items()
    if function == "Condition":
        return holds(arguments, template, values)
    if function == "Fn::Equals":
        left, right = (values[a["Ref"]] if isinstance(a, dict) else a for a in arguments)
        return str(left) == str(right)
    operands = [holds(a, template, values) for a in arguments]
    return {"Fn::And": all, "Fn::Or": any, "Fn::Not": lambda o: not o[0]}[function](operands)


with open("template.yaml") as file:
    source = yaml_parse(file.read())
source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # what sam package puts there
template = Translator({}, Parser()).translate(source, {})

counts = {}
for variant, given in VARIANTS.items():
    values = {name: parameter["Default"] for name, parameter in template["Parameters"].items()} | given
    counts[variant] = Counter(
        resource["Type"]
        for resource in template["Resources"].values()
        if "Condition" not in resource or holds(resource["Condition"], template, values)
    )

print(f"{'':44}" + "".join(f"{variant:>10}" for variant in VARIANTS))
for type_ in sorted(set().union(*counts.values())):
    print(f"{type_:44}" + "".join(f"{counts[variant][type_]:10}" for variant in VARIANTS))
print(f"{'all':44}" + "".join(f"{counts[variant].total():10}" for variant in VARIANTS))
