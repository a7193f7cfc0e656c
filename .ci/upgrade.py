"""Says what an update of a stack to template.yaml, and back, replaces or removes, without deploying it.

The template of the latest release is released.yaml, which is template.yaml until there is one. Both are resolved for
each set of parameters that both take. CloudFormation's schemas say which properties replace a resource when they change.
What holds data must neither be replaced nor removed.
"""

import sys

from stack import Refused, Stack, transformed  # first: it says where SAM's and cfn-lint's code believes to be

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as SCHEMAS
from parametersets import REGION, ROOT, sets

RELEASED = ROOT / ".ci" / "released.yaml"

HOLD_DATA = (
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
)

# An update that changes one of these fails, which the schema does not say
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-key.html).
FIXED = {"AWS::KMS::Key": ("KeySpec", "KeyUsage", "MultiRegion", "Origin")}


def replacing(kind):
    """Returns the properties of a type that replace a resource when they change, as far as it has a schema."""
    if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
        return set()
    schema = SCHEMAS.get_resource_schema(REGION, kind).schema
    paths = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
    return {path.split("/")[2] for path in paths} | set(FIXED.get(kind, ()))


def update(before, after):
    """Yields what an update does with each resource that it does not keep: its logical id, its type, and what."""
    for id, old in before.items():
        kind, new = old["Type"], after.get(id)
        if new is None:
            yield id, kind, "is removed"
        elif new["Type"] != kind:
            yield id, kind, f"becomes a {new['Type']}"
        else:
            was, becomes = old.get("Properties", {}), new.get("Properties", {})
            for name in sorted(replacing(kind)):
                if was.get(name) != becomes.get(name):
                    yield id, kind, f"is replaced for its {name}"
            indexes = [{i["IndexName"]: i for i in p.get("GlobalSecondaryIndexes", [])} for p in (was, becomes)]
            if len(indexes[0].keys() ^ indexes[1].keys()) > 1:
                yield id, kind, "gets or loses more than one index, which CloudFormation does not do in one update"


def compare(released, current):
    """Yields a line for each resource that an update, or the way back, does not keep, and whether it holds data."""
    for label, given in sets(current).items():
        try:
            stacks = [
                Stack(t, "s", {k: v for k, v in given.items() if k in t["Parameters"]}).resolved()[0]["Resources"]
                for t in (released, current)
            ]
        except Refused:  # by the earlier one
            continue
        for way, (before, after) in (("update", stacks), ("way back", stacks[::-1])):
            for id, kind, what in update(before, after):
                if way == "way back" and what == "is removed":  # what is new and holds data is retained by its policy
                    continue
                yield f"{way}, {label}: {id} ({kind}) {what}", kind in HOLD_DATA


def main():
    lines = dict(compare(*(transformed(path.read_text()) for path in (RELEASED, ROOT / "template.yaml"))))
    for line, holds_data in lines.items():
        print(line + (" AND HOLDS DATA" if holds_data else ""))
    lost = sum(lines.values())
    print(f"update of the latest release: {len(lines)} resources are not kept, {lost} of them hold data")
    return lost > 0


if __name__ == "__main__":
    sys.exit(main())
