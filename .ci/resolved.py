"""Holds what template.yaml deploys to what CloudFormation and the services take, without deploying it.

The template is resolved for each set of parameters, under short and long names of the stack. cfn-lint holds the values
to the schemas of the resources and to its rules, and servicelimits.py to what those leave out.
"""

import itertools
import json
import sys
from functools import cache

from stack import Refused, Stack, transformed  # first: it says where SAM's and cfn-lint's code believes to be

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as SCHEMAS
from parametersets import REGION, ROOT, bounds, sets
from servicelimits import LIMITS, refused

STACK_NAMES = ["s", "open-licenser-dev", "n" * 128]  # the last is as long as CloudFormation takes


@cache
def linter():
    for kind, limits in LIMITS.items():
        patches = [{"op": "add", "path": path, "value": value} for path, value in limits.items()]
        SCHEMAS.get_resource_schema(REGION, kind).patch(patches)
    return Runner(ConfigMixIn(regions=[REGION], include_checks=["I"]))


passed = set()  # what cfn-lint found nothing in: logical ids and resources, as JSON


def lint(template):
    """Yields what cfn-lint finds in a resolved template, by logical id. What has passed already is left out."""
    new = {id: r for id, r in template["Resources"].items() if json.dumps([id, r]) not in passed}
    for match in linter().validate_template(template | {"Resources": new}):
        id = match.path[1] if len(match.path) > 1 else ""
        new.pop(id, None)
        yield id, f"{match.rule.id} {'.'.join(map(str, match.path[2:]))}: {match.message}"
    passed.update(json.dumps([id, r]) for id, r in new.items())


def check(template, parameter_sets, names):
    """Yields a line for each problem of a template with any of the sets of parameters, under any of the names."""
    for (label, given), name in itertools.product(parameter_sets.items(), names):
        try:
            stack = Stack(template, name, given)
        except Refused as why:
            yield f"{label}: {why}"
            continue
        resolved, unresolvable = stack.resolved()
        for id, problem in itertools.chain(unresolvable, refused(stack, resolved["Resources"]), lint(resolved)):
            yield f"{label}, stack with a name of {len(name)}: {id}: {problem}"


def check_conditions(template, parameter_sets):
    """Yields a line for each condition that holds in all of the sets of parameters, or in none."""
    stacks = [Stack(template, "s", given) for given in parameter_sets.values()]
    for condition in template["Conditions"]:
        if len({stack.holds(condition) for stack in stacks}) == 1:
            yield f"{condition} is the same with all parameters: say in .ci/parametersets.py what makes it another"


def check_pairs(template, parameter_sets):
    """Yields a line for each function that fails where two parameters have values of the sets, or of a choice that they
    give, and all others their defaults."""
    choices = {choice for given in parameter_sets.values() for choice in given.items()}
    for name, parameter in template["Parameters"].items():
        if parameter["Type"] == "String":
            choices |= {(name, value) for value in parameter.get("AllowedValues", [])}
    for pair in map(dict, itertools.combinations(sorted(choices), 2)):
        try:
            _, unresolvable = Stack(template, "s", pair).resolved()
        except Refused:  # as a table without its stream
            continue
        for id, problem in unresolvable:
            yield f"{pair}: {id}: {problem}"


def main():
    template = transformed((ROOT / "template.yaml").read_text())
    parameter_sets = sets(template)
    problems = [
        *check(template, parameter_sets | bounds(template), STACK_NAMES),
        *check_conditions(template, parameter_sets),
        *check_pairs(template, parameter_sets),
    ]
    for problem in problems:
        print(problem)
    print(f"template.yaml resolved: {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
