import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.LicensesApi;
import org.openapitools.client.api.LifeCycleApi;
import org.openapitools.client.api.PlansApi;
import org.openapitools.client.api.VerificationApi;
import org.openapitools.client.model.AppURL;
import org.openapitools.client.model.LicenseDraft;
import org.openapitools.client.model.LicensePatch;
import org.openapitools.client.model.LicenseStatus;
import org.openapitools.client.model.PlanDraft;
import org.openapitools.client.model.Reason;
import org.openapitools.client.model.Service;
import org.openapitools.client.model.Verification;

/** The life of a license through the client that the OpenAPI Generator makes: Life URL-OF-THE-API URL-OF-CANNED-ANSWERS. */
public class Life {
    public static void main(String[] args) throws Exception {
        live(at(args[0]));
        canned(at(args[1]));
        System.exit(0); // the client's threads would go on for a minute
    }

    static ApiClient at(String url) {
        return new ApiClient().setBasePath(url);
    }

    static void live(ApiClient client) throws Exception {
        var licenses = new LicensesApi(client);
        var verification = new VerificationApi(client);
        var issued = licenses.issueLicense(new LicenseDraft().customername("Example Ltd").expirationdate("2099-01-31")
            .reference("java 4711/ä").email("java@example.com")
            .addServicesItem(new Service().serviceName("Reports").serviceValue("reports"))
            .addAppurlsItem(new AppURL().URL("https://app.example.com")), null);
        want(issued.getStatus() == LicenseStatus.ACTIVE && issued.getExpirationdate().getYear() == 2099, issued);
        var list = licenses.listLicenses(null, "JAVA@example.com", "exam", null, null, null, null, "asc", 1, null);
        want(list.getLicenses().get(0).getLicenseid().equals(issued.getLicenseid()), "the list");
        want(licenses.getLicense("ref:java 4711/ä").getLicenseid().equals(issued.getLicenseid()), "by its reference");
        refused(() -> licenses.issueLicense(new LicenseDraft().customername("Example Ltd").expirationdate("2099-01-31")
            .reference("java 4711/ä"), null), 409, "REFERENCE_TAKEN");

        var changed = licenses.changeLicense(issued.getLicenseid(), "*", new LicensePatch().notes("order 4711"), null);
        want(changed.getNotes().equals("order 4711") && changed.getServices().equals(issued.getServices()), changed);

        var key = new Verification().licensekey(issued.getLicensekey());
        want(verification.verifyLicense(key).getMessage().split("\\.").length == 3, "a token");
        var revoked = new LifeCycleApi(client).revokeLicense(issued.getLicenseid(), null, null, new Reason().reason("contract ended"));
        want(revoked.getStatus() == LicenseStatus.REVOKED, revoked);
        refused(() -> verification.verifyLicense(key), 400, "LICENSE_REVOKED");
        refused(() -> licenses.getLicense("none"), 404, "LICENSE_NOT_FOUND");

        var plans = new PlansApi(client);
        var made = plans.putPlan("java.pro", new PlanDraft().durationdays(365).maxdevices(3), null, null);
        want(made.getVersion() == 1 && plans.getPlan("java.pro").equals(made), made);
        var of = licenses.issueLicense(new LicenseDraft().customername("Example Ltd").plan("java.pro").maxdevices(0), null);
        want(of.getPlan().equals("java.pro") && of.getExpirationdate() != null && of.getMaxdevices() == null, of);
        want(plans.listPlans(100, null).getPlans().contains(made), "the plans");
        plans.deletePlan("java.pro", null);
        refused(() -> plans.getPlan("java.pro"), 404, "PLAN_NOT_FOUND");

        want(verification.getPublicKey(null).startsWith("-----BEGIN PUBLIC KEY-----"), "PEM");
        want(verification.getJwks().getKeys().size() == 1, "one key");
    }

    static void canned(ApiClient client) throws Exception {
        var licenses = new LicensesApi(client);
        want(licenses.getLicense("endless").getExpirationdate() == null, "no end");
        var unreadable = licenses.getLicense("unreadable");
        want(unreadable.getStatus() == LicenseStatus.UNREADABLE && unreadable.getProblems().get(0).getField().equals("services"), unreadable);
        refused(() -> licenses.getLicense("gateway"), 500, "INTERNAL_LICENSE_SERVER_ERROR");
    }

    interface Call {
        void run() throws ApiException;
    }

    /** Wants a call to end in a refusal. Generated Java clients leave its body as text. */
    static void refused(Call call, int status, String code) {
        try {
            call.run();
        } catch (ApiException e) {
            want(e.getCode() == status && e.getResponseBody().contains('"' + code + '"'), e);
            return;
        }
        want(false, status + " was expected");
    }

    static void want(boolean isSo, Object otherwise) {
        if (!isSo) {
            throw new AssertionError(otherwise);
        }
    }
}
