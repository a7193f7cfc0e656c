"""Plants mistakes in the template, each of which the checks have to find."""

import copy
import unittest

from parametersets import ROOT, bounds, sets
from resolved import STACK_NAMES, check, check_conditions, check_pairs
from stack import transformed

TEMPLATE = transformed((ROOT / "template.yaml").read_text())
SHORT, LONG = STACK_NAMES[1:]


def named(kind, **properties):
    return {
        "Type": f"AWS::{kind}",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": properties,
    }


def of_stack(text):
    return {"Fn::Sub": text}


def role(*statements, **properties):
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    policies = [{"PolicyName": "planted", "PolicyDocument": policy}] if statements else []
    return named("IAM::Role", AssumeRolePolicyDocument=trust, Policies=policies, **properties)


def allow(action, resource, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def function(**properties):
    code = {"S3Bucket": "bucket", "S3Key": "key"}
    role = "arn:aws:iam::123456789012:role/planted"
    return named("Lambda::Function", Code=code, Handler="x", Role=role, Runtime="provided.al2023", **properties)


def alarm(**properties):
    usual = dict(Namespace="x", MetricName="x", Statistic="Sum", ComparisonOperator="LessThanThreshold", Threshold=1)
    return named("CloudWatch::Alarm", **usual | properties)


def table(**properties):
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    mode = "PAY_PER_REQUEST"
    return named("DynamoDB::Table", AttributeDefinitions=attributes, KeySchema=key, BillingMode=mode, **properties)


def widgets(text):
    return named("CloudWatch::Dashboard", DashboardBody=of_stack('{"widgets": [' + text + "]}"))


WIDGET = '{"type": "metric", "x": 0, "y": 0, "width": %d, "height": 6, "properties": {"metrics": [%s], "region": "r"}}'
MANY = [allow("s3:GetObject", f"arn:aws:s3:::bucket/{i:090}") for i in range(100)]
NEARLY = {"TABLE": {"Ref": "ExistingTable"}} | {f"TEXT{i}": "x" * 240 for i in range(16)}


class Plants(unittest.TestCase):
    """Each plant is a resource, a set of parameters, the name of the stack, and what has to be found."""

    def found(self, resource, parameter_set="default", name=SHORT):
        template = copy.deepcopy(TEMPLATE)
        template["Resources"]["Planted"] = resource
        given = (sets(template) | bounds(template))[parameter_set]
        return list(check(template, {parameter_set: given}, [name]))

    def test_names(self):
        for resource, limit in (
            (named("S3::Bucket", BucketName=of_stack("${AWS::StackName}-planted")), 63),
            (role(RoleName=of_stack("${AWS::StackName}-planted")), 64),
            (function(FunctionName=of_stack("${AWS::StackName}-planted")), 64),
            (named("Events::Rule", Name=of_stack("${AWS::StackName}"), ScheduleExpression="rate(1 hour)"), 64),
            (alarm(AlarmName=of_stack("${AWS::StackName}-${AWS::StackName}"), Period=60, EvaluationPeriods=1), 255),
            (named("SNS::Topic", DisplayName=of_stack("${AWS::StackName}")), 100),
            (table(TableName=of_stack("${AWS::StackName}" * 2)), 255),
            (named("KMS::Alias", AliasName=of_stack("alias/${AWS::StackName}" * 2), TargetKeyId="key"), 256),
        ):
            with self.subTest(resource["Type"]):
                self.assertEqual([], self.found(resource))
                self.assertRegex("\n".join(self.found(resource, name=LONG)), rf"Planted: .*{limit}\b")

    def test_references(self):
        for reference, parameter_set, problem in (
            ({"Fn::GetAtt": ["TokenKey", "Arn"]}, "existing", "TokenKey, which the condition NewKey leaves out"),
            (of_stack("${TokenKey.Arn}"), "existing", "TokenKey, which the condition NewKey leaves out"),
            ({"Ref": "Nothing"}, "default", "refers to Nothing, which is no parameter and no resource"),
            ({"Fn::GetAtt": ["TokenKey", "Color"]}, "default", "say in RETURNS what a AWS::KMS::Key Color is"),
            ({"Fn::If": ["Unheard", 1, 2]}, "default", "there is no condition Unheard"),
            ({"Fn::FindInMap": ["Colors", "red", "dark"]}, "default", "finds no"),
            ({"Fn::Select": [1, {"Fn::Split": ["-", "a"]}]}, "default", "selects none"),
            ({"Fn::ImportValue": "x"}, "default", "Fn::ImportValue is not known here"),
        ):
            with self.subTest(problem):
                found = self.found(named("Logs::LogGroup", LogGroupName=reference), parameter_set)
                self.assertIn(problem, "\n".join(found))

    def test_functions(self):
        parts = {"Fn::Split": ["-", of_stack("a-${Stage}-${!Stage}-${x}")]}
        parts["Fn::Split"][1]["Fn::Sub"] = [parts["Fn::Split"][1]["Fn::Sub"], {"x": {"Ref": "AWS::Region"}}]
        text = {"Fn::Join": ["/", [{"Fn::Select": [i, parts]} for i in ("1", 2, 3)]]}
        found = self.found(named("Logs::LogGroup", LogGroupName=text))
        self.assertIn("prod/${Stage}/eu", "\n".join(found))  # which is no name of a log group

    def test_values(self):
        day = dict(Period=300, EvaluationPeriods=289)
        week = dict(Period=3600, EvaluationPeriods={"Ref": "CheckpointLockDays"})
        for resource, parameter_set, problem in (
            (named("Logs::LogGroup", RetentionInDays={"Ref": "CheckpointLockDays"}), "lower bounds", None),
            (named("Logs::LogGroup", RetentionInDays={"Ref": "CheckpointLockDays"}), "upper bounds", "is not one of"),
            (function(Timeout={"Ref": "MinReadCapacity"}), "lower bounds", None),
            (function(Timeout={"Ref": "MinReadCapacity"}), "upper bounds", "greater than the maximum"),
            (function(Environment={"Variables": NEARLY}), "existing", None),
            (function(Environment={"Variables": NEARLY}), "upper bounds", "4096 bytes"),
            (alarm(**day), "default", "looks at 86700 seconds, where at most 86400 are allowed"),
            (alarm(**week), "lower bounds", None),
            (alarm(**week), "default", "looks at 1314000 seconds, where at most 604800 are allowed"),
            (role(allow("s3:GetObject", "*", Efect="Deny")), "default", "'Efect' was unexpected"),
            (role(allow("s3:GetObject", "*", Condition={"Nul": {"a": "b"}})), "default", "'Nul' does not match"),
            (role(allow("s3:GetObjct", "*")), "default", "'getobjct' is not one of"),
            (role(allow("s3:GetObject", "bucket")), "default", "'bucket' "),
            (role(*MANY), "default", "has policies of"),
            (widgets(WIDGET % (24, '["x"]')), "default", None),
            (widgets(WIDGET % (25, '["x"]')), "default", "has the widget 0 at 0, 0 with the size 25, 6"),
            (widgets(WIDGET % (24, '"x"')), "default", "has the widget 0 without region or metrics"),
            (widgets(WIDGET % (24, "[")), "default", "has a body that is no JSON object"),
        ):
            with self.subTest(f"{resource['Type']} {parameter_set} {problem}"):
                found = "\n".join(self.found(resource, parameter_set))
                self.assertEqual("", found) if problem is None else self.assertIn(problem, found)

    def test_permissions_of_a_function(self):
        template = copy.deepcopy(TEMPLATE)
        permission = next(r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::Permission")
        template["Resources"] |= {f"Planted{i}": permission for i in range(60)}
        self.assertRegex("\n".join(check(template, {"default": {}}, [SHORT])), "has a policy of .* bytes, where")

    def test_parameters(self):
        for given, problem in (
            ({"Unheard": "1"}, "no such parameter: Unheard"),
            ({"CheckpointLockDays": 36501}, "CheckpointLockDays must not be '36501'"),
            ({"Stage": "a b"}, "Stage must not be 'a b'"),
            ({"BillingMode": "NONE"}, "BillingMode must not be 'NONE'"),
            ({"ExistingTable": "licenses"}, "ExistingTable and ExistingTableStream belong together"),
        ):
            with self.subTest(problem):
                self.assertIn(problem, "\n".join(check(TEMPLATE, {"planted": given}, [SHORT])))

    def test_conditions(self):
        template = copy.deepcopy(TEMPLATE)
        template["Conditions"]["Planted"] = {"Fn::Equals": [{"Ref": "Stage"}, "test"]}
        self.assertRegex("\n".join(check_conditions(template, sets(template))), "^Planted is the same")

    def test_pairs(self):
        template = copy.deepcopy(TEMPLATE)
        template["Conditions"]["Both"] = {"Fn::And": [{"Condition": "WebAclWanted"}, {"Condition": "SecretRotates"}]}
        key = {"Fn::If": ["Both", {"Fn::GetAtt": ["TokenKey", "Arn"]}, "none"]}
        template["Outputs"]["Planted"] = {"Value": key}
        pair = {"WafRateLimit": "2000", "SecretRotationDays": "30"}
        self.assertEqual([], list(check_pairs(template, {"both": pair})))
        template["Conditions"]["NewKey"] = {"Fn::Equals": [{"Ref": "WafRateLimit"}, ""]}
        self.assertIn("Planted: refers to TokenKey", "\n".join(check_pairs(template, {"both": pair})))


if __name__ == "__main__":
    unittest.main()
