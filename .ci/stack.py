"""Resolves a template as CloudFormation does.

SAM's own code transforms it. Stack then takes the place of CloudFormation: what it returns has values only. The
resolvers of the SAM CLI and of cfn-lint leave in place what they cannot resolve, and the former looks into the branch
that a condition rules out. Here all that cannot be resolved is an error.
"""

import logging
import os
import re

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # no call goes there
logging.disable()  # of what SAM tells itself about its features

from parametersets import ACCOUNT, REGION
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# What Ref returns, by type, and GetAtt, by type and attribute, in the shape that AWS gives it.
RETURNS = {
    "AWS::ApiGateway::Account": "{name}",
    "AWS::ApiGateway::Deployment": "a1b2c3",
    "AWS::ApiGateway::DomainName": "license.example.com",
    "AWS::ApiGateway::DomainName RegionalDomainName": "d-a1b2c3d4e5.execute-api.{region}.amazonaws.com",
    "AWS::ApiGateway::RestApi": "a1b2c3d4e5",
    "AWS::ApiGateway::Stage": "{name}",
    "AWS::CloudFormation::CustomResource": "{name}",
    "AWS::CloudWatch::Alarm Arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::CloudWatch::Dashboard": "{name}",
    "AWS::DynamoDB::GlobalTable": "{name}",
    "AWS::DynamoDB::GlobalTable Arn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
    "AWS::DynamoDB::GlobalTable StreamArn": (
        "arn:{partition}:dynamodb:{region}:{account}:table/{name}/stream/2026-11-23T22:00:00.000"
    ),
    "AWS::DynamoDB::Table": "{name}",
    "AWS::DynamoDB::Table Arn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::Rule Arn": "arn:{partition}:events:{region}:{account}:rule/{name}",
    "AWS::IAM::ManagedPolicy": "arn:{partition}:iam::{account}:policy/{name}",
    "AWS::IAM::Role": "{name}",
    "AWS::IAM::Role Arn": "arn:{partition}:iam::{account}:role/{name}",
    "AWS::KMS::Alias": "{name}",
    "AWS::KMS::Key": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "AWS::KMS::Key Arn": "arn:{partition}:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "AWS::Lambda::EventSourceMapping": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "AWS::Lambda::Function": "{name}",
    "AWS::Lambda::Function Arn": "arn:{partition}:lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "{name}",
    "AWS::Logs::LogGroup Arn": "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "{name}",
    "AWS::S3::Bucket Arn": "arn:{partition}:s3:::{name}",
    "AWS::S3::BucketPolicy": "{name}",
    "AWS::SNS::Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-a1B2c3",
    "AWS::WAFv2::WebACL Arn": (
        "arn:{partition}:wafv2:{region}:{account}:regional/webacl/{name}/1234abcd-12ab-34cd-56ef-1234567890ab"
    ),
}

# By type: the property that names a resource, and the length of the longest name that CloudFormation makes without it
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-ref-resource-names.html).
NAMES = {
    "AWS::ApiGateway::Stage": ("StageName", 128),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::DynamoDB::GlobalTable": ("TableName", 255),
    "AWS::DynamoDB::Table": ("TableName", 255),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", 128),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::KMS::Alias": ("AliasName", 256),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::S3::Bucket": ("BucketName", 63),
    "AWS::SNS::Topic": ("TopicName", 256),
    "AWS::SecretsManager::Secret": ("Name", 512),
    "AWS::WAFv2::WebACL": ("Name", 128),
}


class Refused(Exception):
    """CloudFormation does not take these parameters."""


class Unresolvable(Exception):
    """CloudFormation fails at a function."""


_NOTHING = object()  # the value of !Ref AWS::NoValue


def transformed(text):
    """Returns the template after the transform of SAM."""
    source = yaml_parse(text)
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # what sam package puts there
    return Translator({}, Parser()).translate(source, {})


def parameters(template, given):
    """Returns the values of all parameters. A given one that the template does not take is Refused."""
    declared = template["Parameters"]
    if unknown := given.keys() - declared:
        raise Refused(f"no such parameter: {', '.join(sorted(unknown))}")
    values = {}
    for name, parameter in declared.items():
        value = given.get(name, parameter.get("Default"))
        if parameter["Type"] not in ("String", "Number") or value is None:
            raise Refused(f"{name} has the type {parameter['Type']} and the value {value}, which is not known here")
        text = str(value)
        if parameter["Type"] == "Number":
            value = float(text) if "." in text else int(text)
        if (
            ("AllowedValues" in parameter and text not in map(str, parameter["AllowedValues"]))
            or ("AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], text))
            or not parameter.get("MinLength", 0) <= len(text) <= parameter.get("MaxLength", 4096)
            or (parameter["Type"] == "Number" and value < parameter.get("MinValue", value))
            or (parameter["Type"] == "Number" and value > parameter.get("MaxValue", value))
        ):
            raise Refused(f"{name} must not be {text!r}")
        values[name] = value
    return values


class Stack:
    """A stack of a transformed template, of one name and with one set of parameters."""

    def __init__(self, template, name, given):
        self.template = template
        self.values = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _NOTHING,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackName": name,
            "AWS::URLSuffix": "amazonaws.com",
        } | parameters(template, given)
        for rule, body in template.get("Rules", {}).items():
            if self.resolve(body.get("RuleCondition", True)):
                for assertion in body["Assertions"]:
                    if not self.resolve(assertion["Assert"]):
                        raise Refused(f"{rule}: {assertion['AssertDescription']}")

    def resolved(self):
        """Returns the resources and outputs with values only, and what cannot be resolved, by logical id."""
        result, problems = {}, []
        for section in ("Resources", "Outputs"):
            result[section] = {}
            for id, body in self.template[section].items():
                try:
                    if self.exists(body):
                        left = {k: v for k, v in body.items() if k not in ("Condition", "DependsOn")}
                        result[section][id] = self.resolve(left)
                except Unresolvable as problem:
                    problems.append((id, str(problem)))
        return result, problems

    def holds(self, condition):
        if condition not in self.template["Conditions"]:
            raise Unresolvable(f"there is no condition {condition}")
        return self.resolve(self.template["Conditions"][condition])

    def exists(self, body):
        return "Condition" not in body or self.holds(body["Condition"])

    def resolve(self, value):
        if isinstance(value, list):
            return [r for r in map(self.resolve, value) if r is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self.returned(argument)
            if function == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if function.startswith("Fn::"):
                return self.call(function[4:], argument)
        pairs = {k: self.resolve(v) for k, v in value.items()}
        return {k: v for k, v in pairs.items() if v is not _NOTHING}

    def call(self, function, argument):
        if function == "If":
            condition, then, otherwise = argument
            return self.resolve(then if self.holds(condition) else otherwise)
        if function == "Sub":
            text, given = (argument, {}) if isinstance(argument, str) else argument
            return self.substitute(text, self.resolve(given))
        argument = self.resolve(argument)
        if function == "GetAtt":
            return self.returned(*(argument.split(".", 1) if isinstance(argument, str) else argument))
        if function == "Equals":
            return str(argument[0]) == str(argument[1])
        if function == "FindInMap":
            try:
                return self.template["Mappings"][argument[0]][argument[1]][argument[2]]
            except KeyError as missing:
                raise Unresolvable(f"Fn::FindInMap {argument} finds no {missing}") from None
        if function == "Select":
            if int(argument[0]) >= len(argument[1]):
                raise Unresolvable(f"Fn::Select {argument} selects none")
            return argument[1][int(argument[0])]
        known = {
            "And": all,
            "Or": any,
            "Not": lambda a: not a[0],
            "Join": lambda a: a[0].join(map(str, a[1])),
            "Split": lambda a: a[1].split(a[0]),
        }
        if function not in known:
            raise Unresolvable(f"Fn::{function} is not known here")
        return known[function](argument)

    def substitute(self, text, given):
        def value(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            return str(given[name] if name in given else self.returned(*name.split(".", 1)))

        return re.sub(r"\$\{([^}]*)\}", value, text)

    def returned(self, id, attribute=""):
        """Returns the value of a parameter, or of a resource's Ref or attribute."""
        if id in self.values and not attribute:
            return self.values[id]
        resource = self.template["Resources"].get(id)
        if resource is None:
            raise Unresolvable(f"refers to {id}, which is no parameter and no resource")
        if not self.exists(resource):
            raise Unresolvable(f"refers to {id}, which the condition {resource['Condition']} leaves out")
        what = f"{resource['Type']} {attribute}".rstrip()
        if what not in RETURNS:
            raise Unresolvable(f"refers to {id}: say in RETURNS what a {what} is")
        return RETURNS[what].format(partition="aws", region=REGION, account=ACCOUNT, name=self.name(id))

    def name(self, id):
        """Returns the name of a resource: its own, or what CloudFormation makes of the names of stack and resource."""
        resource = self.template["Resources"][id]
        named_by, limit = NAMES.get(resource["Type"], ("", 255))
        if named_by in resource.get("Properties", {}):
            return self.resolve(resource["Properties"][named_by])
        id = id[: limit // 2 - 7]
        made = f"{self.values['AWS::StackName'][: limit - len(id) - 14]}-{id}-1A2B3C4D5E6F"
        return made.lower() if resource["Type"] == "AWS::S3::Bucket" else made
