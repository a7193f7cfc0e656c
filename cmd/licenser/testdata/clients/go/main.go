// Life leads a license through its life with the client that oapi-codegen makes: life URL-OF-THE-API URL-OF-CANNED-ANSWERS.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"client/api"
)

func main() {
	live(at(os.Args[1]))
	canned(at(os.Args[2]))
}

func at(url string) *api.ClientWithResponses {
	client, err := api.NewClientWithResponses(url)
	check(err)
	return client
}

func live(client *api.ClientWithResponses) {
	ctx := context.Background()
	draft := api.LicenseDraft{
		Customername: "Example Ltd", Expirationdate: new("2099-01-31"),
		Reference: new("go 4711/ä"), Email: new("go@example.com"),
		Services: &[]api.Service{{ServiceName: "Reports", ServiceValue: "reports"}},
		Appurls:  &[]api.AppURL{{URL: "https://app.example.com"}},
	}
	issued, err := client.IssueLicenseWithResponse(ctx, nil, draft)
	check(err)
	want(issued.JSON201 != nil && issued.JSON201.Status == "active" && issued.JSON201.Expirationdate.Year() == 2099, issued.Body)
	id := issued.JSON201.Licenseid
	listed, err := client.ListLicensesWithResponse(ctx, &api.ListLicensesParams{
		Limit: new(1), Email: new("GO@example.com"), Customername: new("exam"),
	})
	check(err)
	want(listed.JSON200 != nil && listed.JSON200.Licenses[0].Licenseid == id, listed.Body)
	referenced, err := client.GetLicenseWithResponse(ctx, "ref:go 4711/ä")
	check(err)
	want(referenced.JSON200 != nil && referenced.JSON200.Licenseid == id, referenced.Body)
	again, err := client.IssueLicenseWithResponse(ctx, nil, draft)
	check(err)
	want(again.ApplicationproblemJSON409 != nil && *again.ApplicationproblemJSON409.Licenseid == id, again.Body)

	changed, err := client.ChangeLicenseWithResponse(ctx, id, &api.ChangeLicenseParams{IfMatch: "*"}, api.LicensePatch{Notes: new("order 4711")})
	check(err)
	want(changed.JSON200 != nil && *changed.JSON200.Notes == "order 4711" && len(*changed.JSON200.Services) == 1, changed.Body)

	key := api.Verification{Licensekey: issued.JSON201.Licensekey}
	verified, err := client.VerifyLicenseWithResponse(ctx, key)
	check(err)
	want(verified.JSON200 != nil && strings.Count(verified.JSON200.Message, ".") == 2, verified.Body)
	revoked, err := client.RevokeLicenseWithResponse(ctx, id, nil, api.Reason{Reason: new("contract ended")})
	check(err)
	want(revoked.JSON200 != nil && revoked.JSON200.Status == "revoked", revoked.Body)
	verified, err = client.VerifyLicenseWithResponse(ctx, key)
	check(err)
	want(verified.JSON400 != nil && verified.JSON400.Error == "LICENSE_REVOKED", verified.Body)
	none, err := client.GetLicenseWithResponse(ctx, "none")
	check(err)
	want(none.ApplicationproblemJSON404 != nil && none.ApplicationproblemJSON404.Code == "LICENSE_NOT_FOUND", none.Body)

	put, err := client.PutPlanWithResponse(ctx, "go.pro", nil, api.PlanDraft{Durationdays: new(365), Maxdevices: new(3)})
	check(err)
	want(put.JSON201 != nil && put.JSON201.Version == 1 && *put.JSON201.Durationdays == 365, put.Body)
	of, err := client.IssueLicenseWithResponse(ctx, nil, api.LicenseDraft{Customername: "Example Ltd", Plan: new("go.pro"), Maxdevices: new(0)})
	check(err)
	want(of.JSON201 != nil && *of.JSON201.Plan == "go.pro" && of.JSON201.Expirationdate != nil && of.JSON201.Maxdevices == nil, of.Body)
	plans, err := client.ListPlansWithResponse(ctx, &api.ListPlansParams{Limit: new(100)})
	check(err)
	want(plans.JSON200 != nil && len(plans.JSON200.Plans) > 0, plans.Body)
	removed, err := client.DeletePlanWithResponse(ctx, "go.pro", nil)
	check(err)
	want(removed.StatusCode() == 204, removed.Body)

	pem, err := client.GetPublicKeyWithResponse(ctx, nil)
	check(err)
	want(strings.HasPrefix(string(pem.Body), "-----BEGIN PUBLIC KEY-----"), pem.Body)
	set, err := client.GetJwksWithResponse(ctx)
	check(err)
	want(set.JSON200 != nil && len(set.JSON200.Keys) == 1, set.Body)
}

func canned(client *api.ClientWithResponses) {
	ctx := context.Background()
	endless, err := client.GetLicenseWithResponse(ctx, "endless")
	check(err)
	want(endless.JSON200 != nil && endless.JSON200.Expirationdate == nil, endless.Body)
	unreadable, err := client.GetLicenseWithResponse(ctx, "unreadable")
	check(err)
	want(unreadable.JSON200 != nil && unreadable.JSON200.Status == "unreadable" && (*unreadable.JSON200.Problems)[0].Field == "services", unreadable.Body)
	fault, err := client.GetLicenseWithResponse(ctx, "gateway")
	check(err)
	want(fault.JSON500 != nil && fault.JSON500.Code == "INTERNAL_LICENSE_SERVER_ERROR", fault.Body)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// want ends the program with the answer that is not as it must be.
func want(isSo bool, answer []byte) {
	if !isSo {
		log.Panicf("got %s", answer)
	}
}
