"""What services refuse of a resolved template where neither the schema of a resource nor cfn-lint's rules say so."""

import json

# JSON patches of the schemas.
LIMITS = {
    # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html, which says it of the newer APIs
    "AWS::ApiGateway::RestApi": {"/properties/Name/maxLength": 128},
    # https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html
    "AWS::ApiGateway::Stage": {"/properties/StageName/pattern": "^[A-Za-z0-9_-]{1,128}$"},
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    "AWS::CloudWatch::Dashboard": {"/properties/DashboardName/pattern": "^[A-Za-z0-9_-]{1,255}$"},
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    "AWS::DynamoDB::GlobalTable": {"/properties/TableName/pattern": "^[A-Za-z0-9_.-]{3,255}$"},
    "AWS::DynamoDB::Table": {"/properties/TableName/pattern": "^[A-Za-z0-9_.-]{3,255}$"},
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
    "AWS::S3::Bucket": {
        "/definitions/DefaultRetention/properties/Days/minimum": 1,
        "/definitions/DefaultRetention/properties/Days/maximum": 36500,
    },
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html
    "AWS::SecretsManager::RotationSchedule": {
        "/definitions/RotationRules/properties/AutomaticallyAfterDays/minimum": 1,
        "/definitions/RotationRules/properties/AutomaticallyAfterDays/maximum": 1000,
    },
    # https://docs.aws.amazon.com/sns/latest/dg/sns-create-topic.html
    "AWS::SNS::Topic": {"/properties/DisplayName/maxLength": 100},
}


def refused(stack, resources):
    """Yields what is refused of the resolved resources of a stack, by logical id."""
    checks = {
        "AWS::CloudWatch::Alarm": refused_of_alarm,
        "AWS::CloudWatch::Dashboard": refused_of_dashboard,
        "AWS::IAM::Role": refused_of_role,
        "AWS::Lambda::Function": refused_of_function,
    }
    for id, resource in resources.items():
        if check := checks.get(resource["Type"]):
            for problem in check(resource.get("Properties", {}), stack.name(id), resources):
                yield id, problem


def refused_of_alarm(alarm, name, resources):
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    stats = [m["MetricStat"] for m in alarm.get("Metrics", []) if "MetricStat" in m] or [alarm]
    period = max(stat.get("Period", 0) for stat in stats)
    seconds, most = period * alarm.get("EvaluationPeriods", 0), 86400 if period < 3600 else 604800
    if seconds > most:
        yield f"looks at {seconds} seconds, where at most {most} are allowed"


def refused_of_dashboard(dashboard, name, resources):
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    try:
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    except (ValueError, KeyError, TypeError) as error:
        yield f"has a body that is no JSON object with widgets: {error}"
        return
    if len(widgets) > 500:
        yield f"has {len(widgets)} widgets, where at most 500 are allowed"
    for i, widget in enumerate(widgets):
        x, y, width, height = (widget.get(k, 0) for k in ("x", "y", "width", "height"))
        kind, body = widget.get("type"), widget.get("properties", {})
        if not (0 <= x < x + width <= 24 and 0 <= y and 0 < height <= 1000):
            yield f"has the widget {i} at {x}, {y} with the size {width}, {height}"
        if kind == "log":
            if not {"region", "query"} <= body.keys():
                yield f"has the widget {i} without region or query"
        elif kind == "metric":
            if not (body.get("region") and body.get("metrics") and all(isinstance(m, list) for m in body["metrics"])):
                yield f"has the widget {i} without region or metrics"
        elif kind == "alarm":
            arns = body.get("alarms", [])
            if not (0 < len(arns) <= 100 and all(":alarm:" in arn for arn in arns)):
                yield f"has the widget {i} with the alarms {arns}"
        else:
            yield f"has the widget {i} of the type {kind}, which is not known here"


def refused_of_role(role, name, resources):
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    policies = [p["PolicyDocument"] for p in role.get("Policies", [])] + [
        r["Properties"]["PolicyDocument"]
        for r in resources.values()
        if r["Type"] == "AWS::IAM::RolePolicy" and r["Properties"]["RoleName"] == name
    ]
    if (size := sum(map(size_of, policies))) > 10240:
        yield f"has policies of {size} characters, where at most 10240 are allowed"


def refused_of_function(function, name, resources):
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    statements = [
        statement(id, name, r["Properties"])
        for id, r in resources.items()
        if r["Type"] == "AWS::Lambda::Permission" and r["Properties"]["FunctionName"].split(":")[-1] == name
    ]
    if (size := size_of({"Version": "2012-10-17", "Id": "default", "Statement": statements})) > 20480:
        yield f"has a policy of {size} bytes, where at most 20480 are allowed"


def statement(id, function, permission):
    """Returns what Lambda makes of a permission in the policy of a function. It is not known how CloudFormation makes
    the Sid, so that is as long as one may be."""
    conditions = {"ArnLike": {"AWS:SourceArn": permission.get("SourceArn")}}
    if "SourceAccount" in permission:
        conditions["StringEquals"] = {"AWS:SourceAccount": permission["SourceAccount"]}
    return {
        "Sid": id.ljust(100, "-"),
        "Effect": "Allow",
        "Principal": {"Service": permission["Principal"]},
        "Action": permission["Action"],
        "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:" + function,
        "Condition": conditions,
    }


def size_of(policy):
    return len(json.dumps(policy, separators=(",", ":")))
