"""The life of a license through the client that the OpenAPI Generator makes: life.py URL-OF-THE-API URL-OF-CANNED-ANSWERS."""

import sys

import openapi_client as api


def at(url):
    client = api.ApiClient(api.Configuration(host=url))
    return api.LicensesApi(client), api.LifeCycleApi(client), api.VerificationApi(client), api.PlansApi(client)


def refused(call, status, read):
    """Wants a call to end in a refusal that can be read."""
    try:
        call()
    except api.ApiException as refusal:
        assert refusal.status == status, refusal
        return read(refusal.data)
    raise AssertionError(f"{status} was expected")


def live(licenses, life, verification, plans):
    issued = licenses.issue_license(api.LicenseDraft(
        customername="Example Ltd", expirationdate="2099-01-31", reference="python 4711/ä", email="python@example.com",
        services=[api.Service(service_name="Reports", service_value="reports")],
        appurls=[api.AppURL(url="https://app.example.com")]))
    assert issued.status == api.LicenseStatus.ACTIVE and issued.expirationdate.year == 2099, issued
    listed = licenses.list_licenses(limit=1, email="PYTHON@example.com", customername="exam", order="asc")
    assert listed.licenses[0].licenseid == issued.licenseid
    assert licenses.get_license("ref:python 4711/ä").licenseid == issued.licenseid
    again = api.LicenseDraft(customername="Example Ltd", expirationdate="2099-01-31", reference="python 4711/ä")
    assert refused(lambda: licenses.issue_license(again), 409, lambda e: e.licenseid) == issued.licenseid

    changed = licenses.change_license(issued.licenseid, "*", api.LicensePatch(notes="order 4711"))
    assert changed.notes == "order 4711" and changed.services == issued.services, changed

    key = api.Verification(licensekey=issued.licensekey)
    assert verification.verify_license(key).message.count(".") == 2
    revoked = life.revoke_license(issued.licenseid, reason=api.Reason(reason="contract ended"))
    assert revoked.status == api.LicenseStatus.REVOKED, revoked
    assert refused(lambda: verification.verify_license(key), 400, lambda e: e.error) == "LICENSE_REVOKED"
    assert refused(lambda: licenses.get_license("none"), 404, lambda e: e.code) == "LICENSE_NOT_FOUND"

    made = plans.put_plan("python.pro", api.PlanDraft(durationdays=365, maxdevices=3))
    assert made.version == 1 and plans.put_plan("python.pro", api.PlanDraft(durationdays=365, maxdevices=3)) == made
    of = licenses.issue_license(api.LicenseDraft(customername="Example Ltd", plan="python.pro", maxdevices=0))
    assert of.plan == "python.pro" and of.expirationdate is not None and of.maxdevices is None, of
    assert made in plans.list_plans(limit=100).plans
    plans.delete_plan("python.pro")
    assert refused(lambda: plans.get_plan("python.pro"), 404, lambda e: e.code) == "PLAN_NOT_FOUND"

    assert verification.get_public_key().startswith("-----BEGIN PUBLIC KEY-----")
    assert verification.get_jwks().keys[0].kty == "RSA"


def canned(licenses, *_):
    assert licenses.get_license("endless").expirationdate is None
    unreadable = licenses.get_license("unreadable")
    assert unreadable.status == api.LicenseStatus.UNREADABLE and unreadable.problems[0].var_field == "services", unreadable
    assert refused(lambda: licenses.get_license("gateway"), 500, lambda e: e.code) == "INTERNAL_LICENSE_SERVER_ERROR"


live(*at(sys.argv[1]))
canned(*at(sys.argv[2]))
