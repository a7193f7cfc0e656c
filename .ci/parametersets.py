"""Sets of parameters with which a stack is deployed. A parameter that a set does not name has its default."""

import shlex
from pathlib import Path

import tomlkit

ROOT = Path(__file__).parent.parent
REGION, ACCOUNT = "eu-central-1", "123456789012"  # where the stacks of the checks are


def sets(template):
    """Returns the sets by name: those that README.md and docs/ tell to deploy with, and those that make the most and
    the least of the template. Each condition of the template holds in one of them and does not hold in another."""
    existing = {name: earlier(name, "earlier") for name in template["Parameters"] if name.startswith("Existing")}
    return {
        "default": {},
        "least": {"AccessLogRole": "NONE", "ServiceDashboard": "NONE", "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"},
        "existing": existing | {"CheckpointOrigin": "openlicenser/earlier/audit"},
        "all": {"AlarmEmail": "you@example.com", "WafRateLimit": "2000", "SecretRotationDays": "30"} | DOMAIN,
        "stopped": {name: "0" for name in template["Parameters"] if name.endswith("Concurrency")},
        "moved": {  # docs/migrate.md
            name: existing[name] for name in ("ExistingTable", "ExistingTableStream", "ExistingSecret", "ExistingKey")
        },
    } | configured()


def earlier(parameter, name):
    """Returns the value of a parameter that names what an earlier stack left."""
    arns = {
        "Stream": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}/stream/2026-11-23T22:00:00.000",
        "Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-a1B2c3",
        "Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "Checkpoints": name[:63],  # a bucket's name, which is shorter than a table's
    }
    return next((arn for ending, arn in arns.items() if parameter.endswith(ending)), name)


def configured():
    """Returns the sets of parameters in samconfig.toml."""
    with open(ROOT / "samconfig.toml") as file:
        environments = tomlkit.load(file).unwrap()
    return {
        f"{name} in samconfig.toml": dict(
            pair.split("=", 1) for pair in shlex.split(environment["global"]["parameters"]["parameter_overrides"])
        )
        for name, environment in environments.items()
        if name != "version"
    }


CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
DOMAIN = {"DomainName": "license.example.com", "CertificateArn": CERTIFICATE}

# The bounds of parameters that are texts.
BOUNDS = {
    "Stage": ("s", "s" * 128),
    "Issuer": ("i", "i" * 100),
    "DomainName": ("", ("d" * 61 + ".") * 4 + "test"),
    "CertificateArn": ("", CERTIFICATE),
    "TokenReuseDays": ("0", "3649"),
    "SecretRotationDays": ("1", "1000"),
    "WafRateLimit": ("10", "999999999"),
    "CheckpointOrigin": ("o", "o" * 200),
    "AlarmTopicArn": ("", f"arn:aws:sns:{REGION}:{ACCOUNT}:" + "t" * 256),
}


def bounds(template):
    """Returns two sets of parameters: all that has bounds at the lower, and at the upper one."""
    lower, upper = ({name: values[i] for name, values in BOUNDS.items()} for i in range(2))
    for name, parameter in template["Parameters"].items():
        if "MinValue" in parameter:
            lower[name], upper[name] = parameter["MinValue"], parameter["MaxValue"]
        if name.startswith("Existing"):
            upper[name] = earlier(name, "n" * 255)
    return {"lower bounds": lower, "upper bounds": upper}
