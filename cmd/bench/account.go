//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/token"
)

const (
	licenseTable   = "licenses"
	signatureTable = "signatures"
	deviceTable    = "devices"
)

// account stands in for the parts of an AWS account that a verification calls. It speaks AWS JSON, and responds at
// once.
type account struct {
	secret token.Secret
	kms    *kmstest.KMS

	mu     sync.Mutex
	tables map[string]map[string]json.RawMessage // items by table and license id
}

func newAccount() (*account, error) {
	kms := kmstest.New(time.Now)
	if _, err := kms.AddRSA("alias/token"); err != nil {
		return nil, err
	}
	return &account{
		secret: token.NewSecret(), kms: kms,
		tables: map[string]map[string]json.RawMessage{licenseTable: {}, signatureTable: {}, deviceTable: {}},
	}, nil
}

// fingerprint is that of the device which holds a seat.
const fingerprint = "board 4711/0815"

// seatsOfLicense is how many seats a license with devices has. All are held.
const seatsOfLicense = 50

// issue stores a new license, and returns its id and its license key. One for devices has its seats beside it, one of
// which the device with the fingerprint holds.
func (a *account) issue(forDevices bool) (id, key string, err error) {
	id = uuid.NewString()
	services := license.JSONList(`[{"serviceName":"Reports","serviceValue":"reports"},` +
		`{"serviceName":"Export","serviceValue":"export"}]`)
	urls := license.JSONList(`[{"URL":"https://app.example.com"},{"URL":"https://test.example.com"}]`)
	l := license.License{
		ID: id, CustomerID: uuid.NewString(), CustomerName: "Example Ltd", Services: services, AppURLs: urls,
		ExpirationDate: time.Now().AddDate(2, 0, 0), Created: time.Now(), Changed: time.Now(), Version: 1,
	}
	if forDevices {
		l.MaxDevices, l.SeatsEpoch = seatsOfLicense, time.Now().UnixMilli()
	}
	item, err := l.Record().MarshalJSON()
	if err != nil {
		return "", "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tables[licenseTable][id] = item
	if forDevices {
		if a.tables[deviceTable][id], err = seatsItem(l); err != nil {
			return "", "", err
		}
	}
	key, err = token.SignLicenseKey(a.secret, "Open Licenser", l)
	return id, key, err
}

// seatsItem returns the item of the seats of a license.
func seatsItem(l license.License) (json.RawMessage, error) {
	seats := attribute.Map{}
	number := func(n int64) attribute.Number { return attribute.Number(fmt.Sprint(n)) }
	until, since := time.Now().AddDate(0, 0, 90).Unix(), time.Now().UnixMilli()
	for n := range int64(seatsOfLicense) {
		id := device.ID(l.ID, fmt.Sprint(fingerprint, n))
		if n == 0 {
			id = device.ID(l.ID, fingerprint)
		}
		seats[id] = attribute.Map{
			"until": number(until), "since": number(since + n), "name": fmt.Sprint("Workstation ", n),
		}
	}
	return attribute.Map{
		"licenseid": l.ID, "epoch": number(l.SeatsEpoch), "seats": seats, "youngest": number(since + seatsOfLicense),
	}.MarshalJSON()
}

// forgetSignatures empties the signature table.
func (a *account) forgetSignatures() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.tables[signatureTable])
}

type itemKey struct {
	LicenseID struct{ S string } `json:"licenseid"`
}

// ServeHTTP implements http.Handler. X-Amz-Target names the operation.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "TrentService.") {
		a.kms.ServeHTTP(w, r)
		return
	}
	var input struct {
		TableName    string
		Key          itemKey
		Item         json.RawMessage
		RequestItems map[string]struct{ Keys []itemKey }

		ReturnConsumedCapacity string
	}
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var output any
	switch operation(r) {
	case "GetItem":
		found := map[string]any{}
		if item := a.item(input.TableName, input.Key.LicenseID.S); item != nil {
			found["Item"] = item
		}
		if input.ReturnConsumedCapacity == "TOTAL" {
			found["ConsumedCapacity"] = map[string]any{"TableName": input.TableName, "CapacityUnits": 1}
		}
		output = found
	case "BatchGetItem":
		responses := map[string][]json.RawMessage{}
		for table, request := range input.RequestItems {
			responses[table] = []json.RawMessage{}
			for _, key := range request.Keys {
				if item := a.item(table, key.LicenseID.S); item != nil {
					responses[table] = append(responses[table], item)
				}
			}
		}
		output = map[string]any{"Responses": responses, "UnprocessedKeys": map[string]any{}}
	case "PutItem":
		var key itemKey
		if err := json.Unmarshal(input.Item, &key); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.mu.Lock()
		a.tables[input.TableName][key.LicenseID.S] = input.Item
		a.mu.Unlock()
		output = map[string]any{}
	case "GetSecretValue":
		output = map[string]string{"SecretString": fmt.Sprintf(`{"key":%q}`, string(a.secret))}
	default:
		http.Error(w, "no such operation", http.StatusBadRequest)
		return
	}
	text, err := json.Marshal(output)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(text))) // the DynamoDB client checks it
	w.Write(text)
}

// item returns the item of a license in a table, or nil.
func (a *account) item(table, id string) json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tables[table][id]
}

func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}
